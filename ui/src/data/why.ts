// Why a panel is empty: what the agent says of the measurements that it needs.
import { figure } from "./format";
import { type Row, textIn, timeOf } from "./rows";

export type Reason =
  | { kind: "zero" }
  | { kind: "missing"; measurement: string }
  | { kind: "not_collected"; measurement: string; status: string; error: string; since: number };

/** The first reason why one of these measurements has no rows; `zero`: all were looked at. */
export function reasonOf(needs: readonly string[], why: Row[]): Reason {
  for (const measurement of needs) {
    // Agents speak of themselves without a scrape.
    if (measurement.startsWith("agent_") || measurement === "pg_event") continue;
    const rows = why.filter((row) => row["measurement"] === measurement);
    if (rows.length === 0) {
      if (why.length > 0) return { kind: "missing", measurement };
      continue;
    }
    if (rows.some((row) => row["status"] === "ok")) continue;
    const row = rows[0];
    return { kind: "not_collected", measurement, status: textIn(row, "status"), error: textIn(row, "error"), since: timeOf(row?.["time"]) };
  }
  return { kind: "zero" };
}

export function wordsFor(reason: Reason, nothing: string): string {
  switch (reason.kind) {
    case "zero":
      return nothing;
    case "missing":
      return `${reason.measurement} is not collected here: it is off by default, or this agent does not know it.`;
    case "not_collected":
      return `${reason.measurement} is not collected (${reason.status}): ${reason.error || "the agent gives no reason"}`;
  }
}

/** How long ago, for people. */
export const ago = (at: number, now: number): string => `${figure(Math.max(0, (now - at) / 1000), "s")} ago`;
