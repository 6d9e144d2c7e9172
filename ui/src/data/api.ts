// Talks to the server: session by cookie, one refresh at a time, errors as people can read them.
import { base } from "./base";

export class ApiError extends Error {
  constructor(
    /** Status of the answer; 0: there was none. */
    readonly status: number,
    /** Stable name of the kind of problem. */
    readonly code: string,
    message: string,
    /** Seconds after which another try makes sense. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }

  /** Whether the same may work a little later. */
  get passes(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Reads the token each time: another tab may have renewed it. */
const csrf = (): string => /(?:^|; )(?:__Host-)?pga_csrf=([^;]+)/.exec(document.cookie)?.[1] ?? "";

interface Sent {
  body?: unknown;
  accept?: string;
  signal?: AbortSignal | undefined;
}

async function send(method: string, path: string, { body, accept, signal }: Sent): Promise<Response> {
  const headers = new Headers();
  if (body !== undefined) headers.set("Content-Type", "application/json");
  if (accept) headers.set("Accept", accept);
  const token = csrf();
  if (token) headers.set("X-CSRF-Token", token);
  try {
    return await fetch(`${base}api/v1/${path}`, {
      method,
      headers,
      credentials: "same-origin",
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server does not answer.");
  }
}

/** The problem that an answer tells of. */
async function problem(answer: Response): Promise<ApiError> {
  let document: { code?: string; message?: string } = {};
  try {
    document = (await answer.json()) as typeof document;
  } catch {
    // No JSON: the status says enough.
  }
  const after = Number(answer.headers.get("Retry-After"));
  return new ApiError(
    answer.status,
    document.code ?? "failed",
    document.message ?? `The server answered with status ${answer.status}.`,
    after > 0 ? after : null,
  );
}

type Listener = () => void;
const expired = new Set<Listener>();
/** Tells when the session has ended and can't be renewed. */
export function onExpired(listener: Listener): () => void {
  expired.add(listener);
  return () => expired.delete(listener);
}

let renewing: Promise<boolean> | null = null;
/** Renews the session; all tabs do it one after the other. */
function renew(): Promise<boolean> {
  const once = async (): Promise<boolean> => (await send("POST", "auth/refresh?cookie=true", { body: {} })).ok;
  // Locks are there in secure contexts only.
  renewing ??= (navigator.locks ? navigator.locks.request("pganalytics-refresh", once) : once()).finally(() => {
    renewing = null;
  });
  return renewing;
}

/** A password that is wrong says nothing of the session. */
const isWrongPassword = async (answer: Response): Promise<boolean> => (await problem(answer.clone())).code === "wrong_credentials";

/** Sends a request with the session; throws an ApiError for everything but success. */
export async function request(method: string, path: string, sent: Sent = {}): Promise<Response> {
  let answer = await send(method, path, sent);
  if (answer.status === 401 && !path.startsWith("auth/login") && !(await isWrongPassword(answer))) {
    if (await renew().catch(() => false)) answer = await send(method, path, sent);
    if (answer.status === 401) for (const listener of expired) listener();
  }
  if (!answer.ok) throw await problem(answer);
  return answer;
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await request("GET", path, { signal })).json()) as T;
}

export interface ServerInfo {
  id: string;
  name: string;
  state: "reporting" | "silent";
  first_seen: string;
  last_seen: string;
  instances: string[];
  databases: string[];
  collectors: string[];
}

export interface Bootstrap {
  user: { username: string | null; role: string; permissions: string[]; preferences: Record<string, unknown> };
  version: { version: string; git_hash: string };
  now: string;
  servers: ServerInfo[];
  catalog_hash: string;
  limits: {
    max_rows: number;
    batch_queries: number;
    query_timeout_seconds: number;
    collection_interval_seconds: number;
  };
}

export const login = async (username: string, password: string): Promise<void> => {
  await request("POST", "auth/login?cookie=true", { body: { username, password } });
};

export const setup = async (token: string, username: string, password: string): Promise<void> => {
  await request("POST", "auth/setup?cookie=true", { body: { token, username, password } });
};

export const logout = async (): Promise<void> => {
  await request("POST", "auth/logout", { body: {} });
};
