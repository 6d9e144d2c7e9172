import { useParams } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { FactList } from "../../components/FactList";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import { StatementLink } from "../../components/StatementLink";
import { To } from "../../components/To";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { ChartPanel } from "../ChartPanel";
import { ServerScope } from "../ServerScope";
import { Several } from "../Several";
import { EventLane } from "../server/Events";

export function Database(): ReactNode {
  const { db = "" } = useParams({ strict: false }) as { db?: string };
  return <ServerScope title={`Database ${db.slice(0, 63)}`}>{(server) => <DatabaseOf key={`${server.id} ${db}`} server={server} datname={db} />}</ServerScope>;
}

const ASKS = [
  { id: "now", query: "database_now" },
  { id: "series", query: "database_series" },
  { id: "series_before", query: "database_series", other: true },
  { id: "growth", query: "database_growth", leastStep: 300 },
  { id: "queries", query: "database_queries" },
  { id: "tables", query: "database_tables" },
  { id: "extensions", query: "extensions" },
  { id: "sequences", query: "sequences" },
  { id: "conflicts", query: "conflicts" },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

const SEQUENCES: GridColumn[] = [
  { id: "sequencename", title: "Sequence", show: (row) => `${textIn(row, "schemaname")}.${textIn(row, "sequencename")}` },
  { id: "column_name", title: "Of column" },
  { id: "data_type", title: "Type" },
  { id: "used_ratio", title: "Used", unit: "ratio", show: (row) => ((numberIn(row, "used_ratio") ?? 0) >= 0.75 ? <span className="up">! {figure(row["used_ratio"], "ratio")}</span> : figure(row["used_ratio"], "ratio")) },
  { id: "values_left", title: "Left", unit: "" },
];
const EXTENSIONS: GridColumn[] = [
  { id: "extname", title: "Extension" },
  { id: "schemaname", title: "Schema" },
  { id: "extversion", title: "Version" },
  { id: "update_available", title: "Newer", show: (row) => (row["update_available"] === true ? <span className="badge warn">! {textIn(row, "latest_version")}</span> : "none") },
];

/** A version that the operating system has changed since the indexes were built. */
export const isCollationOff = (row: Row): boolean => row["collation_version"] !== null && row["collation_actual_version"] !== null && row["collation_version"] !== row["collation_actual_version"];

/** Who uses it, how, is it healthy? */
function DatabaseOf({ server, datname }: { server: ServerInfo; datname: string }): ReactNode {
  const page = usePage("database", useMemo(() => ({ asks: ASKS, values: { server: server.id, datname } }), [server.id, datname]));
  const { data } = page;
  const slug = slugOf(server);
  const chart = (value: string, title: string, unit: string, nothing: string): ReactNode => (
    <ChartPanel title={title} note={unit} page={page} id="series" beforeId="series_before" value={value} nothing={nothing} />
  );
  const queries: GridColumn[] = [
    { id: "query", title: "Statement", isWide: true, show: (row) => <StatementLink slug={slug} row={row} /> },
    { id: "usename", title: "User" },
    { id: "ms", title: "Time", unit: "ms", show: (row) => `${row["ms"] !== null && (numberIn(row, "inexact") ?? 0) > 0 ? "≥ " : ""}${figure(row["ms"], "ms")}` },
    { id: "calls", title: "Calls", unit: "" },
  ];
  const tables: GridColumn[] = [
    { id: "relname", title: "Table", show: (row) => <To path={`/s/${slug}/tables/${encodeURIComponent(datname)}/${textIn(row, "relid")}`}>{textIn(row, "schemaname")}.{textIn(row, "relname")}</To> },
    { id: "total_size", title: "Size", unit: "B" },
    { id: "n_live_tup", title: "Live rows", unit: "" },
    { id: "n_dead_tup", title: "Dead rows", unit: "" },
  ];
  return (
    <>
      <PageState page={page} />
      <Panel title="What it is" unit="now" id="now" page={page} nothing="No member knows a database of this name: it was dropped, or the address is wrong.">
        {(rows) => <Now row={asObjects(rows)[0]} />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events")).filter((row) => row["database_name"] === null || row["database_name"] === datname)} range={data.range} serverId={server.id} />}
      <div className="grid2">
        {chart("tps", "Transactions", "a second", "No transaction ended.")}
        <Several page={page} id="series" title="Time of its sessions" unit="sessions on average" of={{ active: "active", idle_in_transaction: "idle in transaction" }} measure="" nothing="No session did anything." />
        <Several page={page} id="series" title="Rows" unit="a second" of={{ fetched: "fetched", changed: "changed" }} measure="1/s" nothing="No row was read or changed." />
        {chart("hit", "Cache hit", "blocks found in shared buffers", "No block was read.")}
        {chart("temp", "Temporary files", "bytes a second", "Nothing was written to temporary files.")}
        <Several page={page} id="series" title="Sessions that ended badly" unit="in each step" of={{ abandoned: "client gone", fatal: "by an error", killed: "by an operator" }} measure="" nothing="None did." isStack />
        <ChartPanel title="Size" note="on the primary" page={page} id="growth" value="size" step={300} nothing="It was not measured in this range." />
        <Several page={page} id="series" title="Deadlocks and rollbacks" unit="deadlocks in each step, rollbacks a second" of={{ deadlocks: "deadlocks", rollbacks: "rollbacks" }} measure="" nothing="There were none." />
      </div>
      <Panel title="Statements" unit="that took most time" id="queries" page={page} nothing="No statement ended in this range.">
        {(rows) => <Grid label="Statements" rows={asObjects(rows)} columns={queries} rowKey={(row, at) => `${textIn(row, "queryid")}${at}`} sort="-ms" param="qsort" />}
      </Panel>
      <div className="grid2">
        <Panel title="Tables" unit="the largest" id="tables" page={page} nothing="It has no table.">
          {(rows) => <Grid label="Tables" rows={asObjects(rows)} columns={tables} rowKey={(row) => textIn(row, "relid")} sort="-total_size" param="tsort" />}
        </Panel>
        <Panel title="Sequences" unit="nearest to their end" id="sequences" page={page} nothing="It has no sequence that can run out.">
          {(rows) => <Grid label="Sequences" rows={asObjects(rows)} columns={SEQUENCES} rowKey={(row) => `${textIn(row, "schemaname")}.${textIn(row, "sequencename")}`} sort="-used_ratio" param="ssort" />}
        </Panel>
        <Panel title="Extensions" id="extensions" page={page} nothing="It has no extension.">
          {(rows) => <Grid label="Extensions" rows={asObjects(rows)} columns={EXTENSIONS} rowKey={(row) => textIn(row, "extname")} sort="extname" param="esort" />}
        </Panel>
        <Conflicts rows={rowsIn(data?.outcomes.get("conflicts")).filter((row) => row["datname"] === datname)} />
      </div>
    </>
  );
}

function Now({ row }: { row: Row | undefined }): ReactNode {
  const freeze = numberIn(row, "freeze_ratio") ?? 0;
  const isOff = row !== undefined && isCollationOff(row);
  return (
    <FactList
      facts={[
        { title: "Owner", value: textIn(row, "owner") || "–" },
        { title: "Size", value: figure(row?.["size"], "B") },
        { title: "Connections", value: figure(row?.["numbackends"]) },
        { title: "Encoding", value: textIn(row, "encoding") || "–" },
        { title: "Collation", value: textIn(row, "datcollate") || "–", level: isOff ? "bad" : "", ...(isOff ? { about: `Built with ${textIn(row, "collation_version")}, the system has ${textIn(row, "collation_actual_version")}: rebuild its indexes, then alter database … refresh collation version` } : {}) },
        { title: "Freeze", value: figure(row?.["freeze_ratio"], "ratio"), level: freeze >= 2 ? "bad" : freeze >= 1 ? "warn" : "", about: "Age, of autovacuum_freeze_max_age" },
        { title: "Transaction ids used", value: figure(row?.["wraparound_ratio"], "ratio"), level: (numberIn(row, "wraparound_ratio") ?? 0) >= 0.5 ? "bad" : "", about: "Of two billion" },
        { title: "Checksum failures", value: figure(row?.["checksum_failures"]), level: (numberIn(row, "checksum_failures") ?? 0) > 0 ? "bad" : "" },
        { title: "Valid", value: row?.["invalid"] === true ? "no: drop database was interrupted" : "yes", level: row?.["invalid"] === true ? "bad" : "" },
      ]}
    />
  );
}

function Conflicts({ rows }: { rows: Row[] }): ReactNode {
  const count = rows.reduce((sum, row) => sum + (numberIn(row, "n") ?? 0), 0);
  return (
    <section className="panel" aria-label="Conflicts">
      <header><h2>Conflicts</h2><span className="muted">on standbys, in this range</span></header>
      <p className="state">{count > 0 ? `${figure(count)} queries were cancelled because of what the standby replayed.` : "No query was cancelled because of what a standby replayed."}</p>
    </section>
  );
}
