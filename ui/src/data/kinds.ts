// What the servers are. Clusters are known by their databases; what else there is says so itself.
import { useQuery } from "@tanstack/react-query";
import { useCallback } from "react";
import type { ServerInfo } from "./api";
import { type Outcome, runBatch } from "./batch";
import { catalogue } from "./catalogue";
import { expand } from "./queryText";
import { rowsIn, textIn } from "./rows";
import { isCluster } from "./servers";
import { useSession } from "./session";

export type Kind = "cluster" | "pooler" | "backups" | "host";

const KINDS: readonly Kind[] = ["pooler", "backups", "host"];

export type KindOf = (server: Pick<ServerInfo, "id" | "databases">) => Kind;

/** What a server is; a host until something else is known. Asked only where there is one that is no cluster. */
export function useKinds(): KindOf {
  const { boot } = useSession();
  const others = boot.servers.filter((server) => !isCluster(server)).map((server) => server.id);
  const query = useQuery({
    queryKey: ["kinds", others.join()],
    enabled: others.length > 0,
    staleTime: 10 * 60_000,
    queryFn: async ({ signal }) => {
      const kinds = catalogue.get("kinds");
      if (!kinds) throw new Error("there is no query kinds");
      let outcome: Outcome | undefined;
      await runBatch([{ id: "kinds", ...expand(kinds, { values: {}, step: 60 }) }], new Map(), (_, found) => {
        outcome = found;
      }, signal);
      return new Map(rowsIn(outcome).map((row) => [textIn(row, "server_id"), textIn(row, "kind")]));
    },
  });
  const { data } = query;
  return useCallback((server) => (isCluster(server) ? "cluster" : (KINDS.find((kind) => kind === data?.get(server.id)) ?? "host")), [data]);
}
