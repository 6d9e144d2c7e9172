import type { ReactNode } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { StatementLink } from "../../components/StatementLink";
import type { ServerInfo } from "../../data/api";
import { type Row, textIn } from "../../data/rows";
import { slugOf } from "../../data/servers";

const isIdleInXact = (row: Row): boolean => textIn(row, "state").startsWith("idle in transaction");

/** Sessions that did something, or held a transaction open. */
export function Sessions({ rows, server }: { rows: Row[]; server: ServerInfo }): ReactNode {
  const columns: GridColumn[] = [
    { id: "pid", title: "PID", show: (row) => textIn(row, "pid") },
    { id: "server", title: "Instance" },
    { id: "datname", title: "Database" },
    { id: "usename", title: "User" },
    { id: "application_name", title: "Application" },
    { id: "state", title: "State", show: (row) => <span className={isIdleInXact(row) ? "badge warn" : "badge"}>{isIdleInXact(row) ? "! " : ""}{textIn(row, "state") || textIn(row, "backend_type")}</span> },
    { id: "wait_event", title: "Waits for", show: (row) => (row["wait_event_type"] ? `${textIn(row, "wait_event_type")}: ${textIn(row, "wait_event")}` : "–") },
    { id: "xact_age", title: "Transaction", unit: "s", about: "Open for so long" },
    { id: "query_age", title: "Statement", unit: "s", about: "Running for so long, or ended so long ago" },
    { id: "blocked_by", title: "Blocked by" },
    { id: "query", title: "Text", isWide: true, show: (row) => (row["query_id"] ? <StatementLink slug={slugOf(server)} row={row} id="query_id" most={120} /> : <span className="cut">{textIn(row, "relation") || "–"}</span>) },
  ];
  return <Grid label="Sessions" rows={rows} columns={columns} rowKey={(row) => `${textIn(row, "instance_id")}|${textIn(row, "pid")}|${textIn(row, "backend_start")}`} sort="-xact_age" />;
}
