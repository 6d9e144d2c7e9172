import { type ReactNode, useMemo } from "react";
import { useRouterState } from "@tanstack/react-router";
import type { ServerInfo } from "../data/api";
import { isCluster, slugOf } from "../data/servers";
import { useSession } from "../data/session";
import { useGo } from "./go";

/** Changes the server and keeps the page. */
export function ServerPicker({ server }: { server: ServerInfo | null }): ReactNode {
  const { boot } = useSession();
  const go = useGo();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const servers = useMemo(() => boot.servers.filter((each) => isCluster(each) || each.id === server?.id).sort((a, b) => (a.name < b.name ? -1 : 1)), [boot.servers, server]);
  if (servers.length === 0) return null;
  const here = /\/s\/[^/]+\/([a-z]+)/.exec(path)?.[1] ?? "overview";
  // What only this server has is not looked for on another.
  const page = ["host", "pooler", "db"].includes(here) ? "overview" : here;
  const choose = (id: string): void => {
    const chosen = servers.find((each) => each.id === id);
    go(chosen ? `/s/${slugOf(chosen)}/${page}` : "/");
  };
  return (
    <label>
      <span className="sr">Server</span>
      <select value={server?.id ?? ""} onChange={(event) => choose(event.target.value)}>
        <option value="">All servers</option>
        {servers.map((each) => (
          <option key={each.id} value={each.id}>
            {each.name.slice(0, 60)}{each.state === "silent" ? " (silent)" : ""}
          </option>
        ))}
      </select>
    </label>
  );
}
