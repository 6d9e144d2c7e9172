import type { ServerInfo } from "../../data/api";
import { type Row, timeOf } from "../../data/rows";

export interface Registered {
  id: string;
  name: string;
  hostname: string;
  version: string;
  status: "active" | "silent" | "registered" | "revoked";
  registered_at: string;
  last_seen: string | null;
  revoked: boolean;
}

/** An agent speaks of itself once a minute. */
const LATE_MS = 3 * 60_000;

/** How it does, in a word. Who is not registered runs inside the server, or pushes with a token. */
export function stateOf(record: Registered | undefined, agent: Row | undefined, servers: ServerInfo[], now: number): string {
  if (record?.revoked) return "revoked";
  const seen = Math.max(agent ? timeOf(agent["time"]) : 0, record?.last_seen ? Date.parse(record.last_seen) : 0, ...servers.map((server) => Date.parse(server.last_seen)));
  if (seen === 0) return "never reported";
  if (now - seen > LATE_MS) return "silent";
  return record ? "reporting" : "in this server";
}
