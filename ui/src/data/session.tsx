// Who looks: asked once per load, and after each log-in.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { ApiError, type Bootstrap, getJson, logout, onExpired, request } from "./api";
import { follow } from "./settings";

interface Session {
  boot: Bootstrap;
  /** Milliseconds that the server's clock is ahead of the browser's. */
  ahead: number;
  /** The log-in has ended while somebody works; what is on the page stays. */
  isExpired: boolean;
  renewed: () => void;
  leave: () => Promise<void>;
}

const Context = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(Context);
  if (!session) throw new Error("no session around this");
  return session;
}

const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("pganalytics-session");

interface Props {
  children: ReactNode;
  /** Shown to whom nobody knows yet. */
  door: (enter: () => void) => ReactNode;
  waiting: (error: ApiError | null, again: () => void) => ReactNode;
}

export function SessionGate({ children, door, waiting }: Props): ReactNode {
  const client = useQueryClient();
  const [isExpired, setExpired] = useState(false);
  const boot = useQuery({
    queryKey: ["bootstrap"],
    queryFn: async ({ signal }) => {
      const boot = await getJson<Bootstrap>("ui/bootstrap", signal);
      return { boot, ahead: Date.parse(boot.now) - Date.now() };
    },
    staleTime: Infinity,
    // Servers come and go; a log-in that has ended is not asked for again and again.
    refetchInterval: (query) => (query.state.error instanceof ApiError && query.state.error.status === 401 ? false : 60_000),
  });

  useEffect(() => onExpired(() => setExpired(true)), []);
  const user = boot.data?.boot.user;
  const person = user ? `${user.username ?? ""} ${JSON.stringify(user.preferences)}` : null;
  useEffect(() => {
    if (!user) return;
    // One that is not kept holds in this browser all the same.
    follow(user.preferences, (settings) => void request("PUT", "preferences", { body: settings }).catch(() => undefined));
  }, [person]);
  useEffect(() => {
    const heard = (event: MessageEvent): void => {
      if (event.data === "in") {
        setExpired(false);
        void client.invalidateQueries();
      } else {
        client.clear();
        location.reload();
      }
    };
    channel?.addEventListener("message", heard);
    return () => channel?.removeEventListener("message", heard);
  }, [client]);

  const { data, error, refetch } = boot;
  const session = useMemo<Session | null>(
    () =>
      data
        ? {
            ...data,
            isExpired,
            renewed: () => {
              setExpired(false);
              channel?.postMessage("in");
              void client.invalidateQueries();
            },
            leave: async () => {
              await logout().catch(() => undefined);
              client.clear();
              channel?.postMessage("out");
              location.reload();
            },
          }
        : null,
    [data, isExpired, client],
  );
  if (session) return <Context.Provider value={session}>{children}</Context.Provider>;
  const again = (): void => {
    setExpired(false);
    channel?.postMessage("in");
    void refetch();
  };
  if (error instanceof ApiError && error.status === 401) return door(again);
  return waiting(error instanceof ApiError ? error : error ? new ApiError(0, "failed", error.message) : null, again);
}
