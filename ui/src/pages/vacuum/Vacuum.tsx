import { type ReactNode, useMemo } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn } from "../../data/rows";
import { ServerScope } from "../ServerScope";
import { EventLane } from "../server/Events";

export function Vacuum(): ReactNode {
  return <ServerScope title="Vacuum">{(server) => <VacuumOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "progress", query: "progress" },
  { id: "due", query: "vacuum_due" },
  { id: "horizon", query: "horizon" },
  { id: "freeze", query: "freeze_forecast" },
  { id: "history", query: "vacuum_history" },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

/** Days until a database reaches autovacuum_freeze_max_age; null where it comes no nearer. */
export function daysLeft(row: Row): number | null {
  const [ratio, slope] = [numberIn(row, "ratio"), numberIn(row, "ratio_a_day")];
  return ratio === null || slope === null || slope <= 0 ? null : Math.max(0, (1 - ratio) / slope);
}

/** Seconds that are left of work under way, at the speed of the last minutes. */
export function secondsLeft(row: Row): number | null {
  const [speed, left] = [numberIn(row, "a_second"), numberIn(row, "left_to_do")];
  return speed === null || left === null || speed <= 0 ? null : left / speed;
}

const PROGRESS: GridColumn[] = [
  { id: "kind", title: "Work" },
  { id: "relation", title: "On" },
  { id: "phase", title: "Phase" },
  { id: "pid", title: "PID", show: (row) => textIn(row, "pid") },
  { id: "left_to_do", title: "Left", unit: "" },
  { id: "a_second", title: "A second", unit: "" },
  { id: "eta", title: "Done in", unit: "s", value: secondsLeft },
];
const DUE: GridColumn[] = [
  { id: "relname", title: "Table", show: (row) => `${textIn(row, "database_name")}: ${textIn(row, "schemaname")}.${textIn(row, "relname")}` },
  { id: "autovacuum_enabled", title: "Autovacuum", show: (row) => (row["autovacuum_enabled"] === false ? <span className="badge warn">! off</span> : "on") },
  { id: "n_dead_tup", title: "Dead rows", unit: "" },
  { id: "vacuum_ratio", title: "Vacuum", unit: "ratio", about: "Of its threshold" },
  { id: "insert_ratio", title: "Inserts", unit: "ratio" },
  { id: "analyze_ratio", title: "Analyze", unit: "ratio" },
  { id: "freeze_ratio", title: "Freeze", unit: "ratio" },
];
const HORIZON: GridColumn[] = [
  { id: "kind", title: "Kind" },
  { id: "name", title: "Name" },
  { id: "pid", title: "PID", show: (row) => textIn(row, "pid") || "–" },
  { id: "datname", title: "Database" },
  { id: "usename", title: "User" },
  { id: "state", title: "State" },
  { id: "xmin_age", title: "Age in transactions", unit: "" },
];
const FREEZE: GridColumn[] = [
  { id: "datname", title: "Database" },
  { id: "ratio", title: "Age", unit: "ratio", about: "Of autovacuum_freeze_max_age" },
  { id: "ratio_a_day", title: "A day", unit: "ratio" },
  { id: "days", title: "Reached in", value: daysLeft, show: (row) => { const days = daysLeft(row); return days === null ? "–" : figure(days * 86_400, "s"); } },
];
const HISTORY: GridColumn[] = [
  { id: "relname", title: "Table", show: (row) => `${textIn(row, "datname")}: ${textIn(row, "schemaname")}.${textIn(row, "relname")}` },
  { id: "runs", title: "Runs", unit: "" },
  { id: "seconds", title: "Time", unit: "s" },
  { id: "removed", title: "Rows removed", unit: "" },
  { id: "not_removable", title: "Not removable yet", unit: "" },
  { id: "cutoff_age", title: "Cutoff age", unit: "" },
  { id: "index_scans", title: "Index scans", unit: "" },
];

/** Does it keep up, what holds it, when does it end? */
function VacuumOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("vacuum", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const list = (id: string, title: string, unit: string, nothing: string, columns: GridColumn[], sort: string): ReactNode => (
    <Panel title={title} unit={unit} id={id} page={page} nothing={nothing}>
      {(rows) => <Grid label={title} rows={asObjects(rows)} columns={columns} rowKey={(row, at) => `${Object.values(row).slice(0, 3).join("|")}${at}`} sort={sort} param={`${id}sort`} />}
    </Panel>
  );
  return (
    <>
      <PageState page={page} />
      {list("progress", "Running", "vacuum, analyze, index builds, copies and the like", "Nothing of the kind ran in the last five minutes.", PROGRESS, "-left_to_do")}
      {list("due", "Due", "over a threshold of autovacuum, or near freezing", "No table is over a threshold.", DUE, "-vacuum_ratio")}
      <div className="grid2">
        {list("horizon", "What holds the horizon", "rows that they may still see are not removed", "Nothing holds it back.", HORIZON, "-xmin_age")}
        {list("freeze", "Freeze", "at the pace of this range", "Nothing is known of the age of databases.", FREEZE, "-ratio")}
      </div>
      {page.data && <EventLane rows={rowsIn(page.data.outcomes.get("events"))} range={page.data.range} serverId={server.id} />}
      {list("history", "What it did", "from the log: log_autovacuum_min_duration", "The log has no run of vacuum in this range; log_autovacuum_min_duration = 0 logs all of them.", HISTORY, "-seconds")}
    </>
  );
}
