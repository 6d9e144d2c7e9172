// Several queries in one request, answered by lines as they are ready.
import { ApiError, request } from "./api";
import type { Value } from "./queryText";

export interface BatchQuery {
  id: string;
  sql: string;
  params: Value[];
  max_rows?: number;
  token?: string;
}

export interface Column {
  name: string;
  type: string;
}

/** Rows of a query; the same object as before where nothing has changed. */
export interface Rows {
  columns: Column[];
  rows: Value[][];
  truncated: boolean;
  elapsed_ms: number;
  token: string;
}

export type Outcome = { rows: Rows } | { error: ApiError };

interface Line extends Partial<Rows> {
  id: string;
  unchanged?: boolean;
  problem?: { status: number; code: string; message: string; retry_after_seconds?: number };
}

/** Lines of a body, complete ones only. */
export async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop() ?? "";
      yield* parts.filter((part) => part !== "");
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

function outcomeOf(line: Line, before: Rows | undefined): Outcome {
  if (line.problem) {
    const { status, code, message, retry_after_seconds } = line.problem;
    return { error: new ApiError(status, code, message, retry_after_seconds ?? null) };
  }
  if (line.unchanged && before) return { rows: before };
  const { columns = [], rows = [], truncated = false, elapsed_ms = 0, token = "" } = line;
  return { rows: { columns, rows, truncated, elapsed_ms, token } };
}

/**
 * Runs queries; tells of each as soon as it is answered. What the server did not
 * come to is an error of that query, and of no other.
 */
export async function runBatch(
  queries: BatchQuery[],
  before: ReadonlyMap<string, Rows>,
  tell: (id: string, outcome: Outcome) => void,
  signal?: AbortSignal,
): Promise<void> {
  const body = { queries: queries.map((query) => ({ ...query, token: before.get(query.id)?.token })) };
  const answer = await request("POST", "sql/batch", { body, signal });
  const open = new Set(queries.map((query) => query.id));
  try {
    for await (const text of linesOf(answer.body ?? new Blob().stream())) {
      const line = JSON.parse(text) as Line;
      if (open.delete(line.id)) tell(line.id, outcomeOf(line, before.get(line.id)));
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    // The body broke off, or is none of ours: what is open stays open.
  }
  const cut = new ApiError(0, "broken_off", "The answer broke off before this was there.");
  for (const id of open) tell(id, { error: cut });
}
