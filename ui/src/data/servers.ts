// Servers as they stand in the address: `name.xxxxxxxx`, a name for people and an id that decides.
import type { ServerInfo } from "./api";

export function slugOf(server: Pick<ServerInfo, "id" | "name">): string {
  const name = server.name.toLowerCase().replace(/[^a-z0-9.-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 40) || "server";
  return `${name}.${server.id.slice(0, 8)}`;
}

/** Whether it is a PostgreSQL cluster that was reached; else a host, a pooler, or one that never answered. */
export const isCluster = (server: Pick<ServerInfo, "databases">): boolean => server.databases.length > 0;

export type Found = { server: ServerInfo } | { several: ServerInfo[] } | null;

export function findServer(servers: readonly ServerInfo[], slug: string): Found {
  const id = slug.slice(slug.lastIndexOf(".") + 1).toLowerCase();
  if (!/^[0-9a-f]{8}$/.test(id)) return null;
  const found = servers.filter((server) => server.id.startsWith(id));
  if (found.length > 1) {
    const exact = found.filter((server) => slugOf(server) === slug);
    return exact.length === 1 && exact[0] ? { server: exact[0] } : { several: found };
  }
  return found[0] ? { server: found[0] } : null;
}
