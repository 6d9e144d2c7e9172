import { useParams } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { FactList } from "../../components/FactList";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import { StatementLink } from "../../components/StatementLink";
import { To } from "../../components/To";
import type { ServerInfo } from "../../data/api";
import { dateTime, figure } from "../../data/format";
import { usePage } from "../../data/page";
import { patternOf } from "../../data/pattern";
import { type Row, asObjects, numberIn, rowsIn, textIn, timeOf } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";
import { ago } from "../../data/why";
import { ServerScope } from "../ServerScope";
import { Several } from "../Several";
import { EventLane } from "../server/Events";
import { indexColumns } from "../tables/indexColumns";
import { verdictsOf } from "../tables/indexes";

export function TablePage(): ReactNode {
  const { db = "", relation = "" } = useParams({ strict: false }) as { db?: string; relation?: string };
  const isOid = /^\d{1,10}$/.test(relation);
  return (
    <ServerScope title="Table">
      {(server) => (isOid ? <TableOf key={`${server.id} ${db} ${relation}`} server={server} datname={db} relid={relation} /> : <p className="state">“{relation.slice(0, 80)}” is no oid of a table.</p>)}
    </ServerScope>
  );
}

const ASKS = [
  { id: "now", query: "table_now" },
  { id: "series", query: "table_series" },
  { id: "dead", query: "table_dead" },
  { id: "growth", query: "table_growth", leastStep: 300 },
  { id: "indexes", query: "table_indexes" },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

/** Does it grow, is it read well, does vacuum keep up? */
function TableOf({ server, datname, relid }: { server: ServerInfo; datname: string; relid: string }): ReactNode {
  const page = usePage("table", useMemo(() => ({ asks: ASKS, values: { server: server.id, datname, relid } }), [server.id, datname, relid]));
  const { data } = page;
  const row = rowsIn(data?.outcomes.get("now"))[0];
  const [schemaname, relname] = [textIn(row, "schemaname"), textIn(row, "relname")];
  const indexes = rowsIn(data?.outcomes.get("indexes"));
  const verdicts = useMemo(() => verdictsOf(indexes), [indexes]);
  const { ahead } = useSession();
  const slug = slugOf(server);
  const isOfTable = (event: Row): boolean => event["kind"] !== "schema" || (event["database_name"] === datname && textIn(event, "object").includes(relname));
  return (
    <>
      <div className="row">
        <strong className="mono">{row ? `${schemaname}.${relname}` : `oid ${relid}`}</strong>
        <span className="muted">in</span> <To path={`/s/${slug}/db/${encodeURIComponent(datname)}`}>{datname}</To>
        <PageState page={page} />
      </div>
      <Panel title="What it is" unit="on the primary, now" id="now" page={page} nothing="No primary knows a table with this oid: it was dropped, or the address is wrong.">
        {(rows) => <Now row={asObjects(rows)[0]} ahead={ahead} />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events")).filter(isOfTable)} range={data.range} serverId={server.id} />}
      <div className="grid2">
        <Several page={page} id="series" title="Changes" unit="rows a second" of={{ inserted: "inserted", updated: "updated", hot: "updated, no index changed (HOT)", deleted: "deleted" }} measure="1/s" nothing="Nothing was changed." isStack />
        <Several page={page} id="series" title="Scans" unit="a second, on all members" of={{ seq_scan: "sequential", idx_scan: "by an index" }} measure="1/s" nothing="It was not read." />
        <Several page={page} id="series" title="Rows read" unit="a second, by kind of scan" of={{ seq_rows: "sequential", idx_rows: "by an index" }} measure="1/s" nothing="It was not read." />
        <Several page={page} id="dead" title="Dead rows" unit="against the threshold of autovacuum" of={{ dead: "dead" }} measure="" nothing="Its rows were not counted in this range." limit={row && numberIn(row, "vacuum_threshold") !== null ? { value: numberIn(row, "vacuum_threshold") ?? 0, label: "vacuum is due" } : undefined} />
        <Several page={page} id="growth" step={300} title="Size" unit="by part" of={{ heap: "heap", indexes: "indexes", toast: "TOAST" }} measure="B" nothing="It was not measured in this range." isStack />
        <Several page={page} id="series" title="Cache hit" unit="blocks of the heap found in shared buffers" of={{ hit: "hit" }} measure="%" nothing="No block was read." />
      </div>
      <Panel title="Indexes" unit="scans: of all members in this range" id="indexes" page={page} nothing="It has no index.">
        {(rows) => <Grid label="Indexes" rows={asObjects(rows)} columns={indexColumns(verdicts, Date.now() + ahead).filter((column) => !["relname", "database_name"].includes(column.id))} rowKey={(index) => textIn(index, "indexrelname")} sort="-size" />}
      </Panel>
      {row && <Further server={server} datname={datname} schemaname={schemaname} relname={relname} />}
    </>
  );
}

const FURTHER = [
  { id: "statements", query: "table_queries" },
  { id: "vacuums", query: "table_vacuums" },
  { id: "why", query: "why" },
];

/** What its name leads to: asked for once that is known. */
function Further({ server, datname, schemaname, relname }: { server: ServerInfo; datname: string; schemaname: string; relname: string }): ReactNode {
  const values = { server: server.id, datname, schemaname, relname, pattern: patternOf(relname) };
  const key = JSON.stringify(values);
  const page = usePage("table-further", useMemo(() => ({ asks: FURTHER, values: JSON.parse(key) as typeof values }), [key]));
  const { zone } = useSettings();
  const statements: GridColumn[] = [
    { id: "query", title: "Statement", isWide: true, show: (row) => <StatementLink slug={slugOf(server)} row={row} /> },
    { id: "usename", title: "User" },
    { id: "ms", title: "Time", unit: "ms" },
    { id: "calls", title: "Calls", unit: "" },
    { id: "rows", title: "Rows", unit: "" },
  ];
  const vacuums: GridColumn[] = [
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["time"]), zone) },
    { id: "command", title: "Work" },
    { id: "elapsed", title: "Took", unit: "s" },
    { id: "tuples_removed", title: "Rows removed", unit: "" },
    { id: "tuples_dead", title: "Not removable yet", unit: "" },
    { id: "removable_cutoff_age", title: "Cutoff age", unit: "" },
    { id: "index_scans", title: "Index scans", unit: "" },
    { id: "wal_bytes", title: "WAL", unit: "B" },
  ];
  return (
    <>
      <Panel title="Statements" unit="whose text has its name: a guess" id="statements" page={page} nothing="No statement of this range has its name.">
        {(rows) => <Grid label="Statements" rows={asObjects(rows)} columns={statements} rowKey={(row, at) => `${textIn(row, "queryid")}${at}`} sort="-ms" param="qsort" />}
      </Panel>
      <Panel title="Vacuum and analyze" unit="from the log" id="vacuums" page={page} nothing="The log has no run on it in this range; log_autovacuum_min_duration = 0 logs all of them.">
        {(rows) => <Grid label="Vacuum and analyze" rows={asObjects(rows)} columns={vacuums} rowKey={(row, at) => `${textIn(row, "time")}${at}`} sort="-time" param="vsort" />}
      </Panel>
    </>
  );
}

function Now({ row, ahead }: { row: Row | undefined; ahead: number }): ReactNode {
  const when = (name: string): string => (row?.[name] ? ago(timeOf(row[name]), Date.now() + ahead) : "never");
  const ratio = (name: string): { value: string; level: "warn" | "" } => ({ value: figure(row?.[name], "ratio"), level: (numberIn(row, name) ?? 0) >= 1 ? "warn" : "" });
  const isOff = row?.["autovacuum_enabled"] === false;
  return (
    <FactList
      facts={[
        { title: "Size", value: row?.["skipped"] === true ? "locked" : figure(row?.["total_size"], "B"), about: "With indexes and TOAST" },
        { title: "Live rows", value: figure(row?.["n_live_tup"]) },
        { title: "Dead rows", value: figure(row?.["n_dead_tup"]) },
        { title: "Bloat", value: row?.["bloat_size"] === null ? "unknown" : `${figure(row?.["bloat_size"], "B")}, ${textIn(row, "method")}`, about: textIn(row, "reason") },
        { title: "Autovacuum", value: isOff ? "off for it" : "on", level: isOff ? "warn" : "" },
        { title: "Vacuum due", ...ratio("vacuum_ratio"), about: "Dead rows, of the threshold" },
        { title: "Insert vacuum due", ...ratio("insert_ratio") },
        { title: "Analyze due", ...ratio("analyze_ratio") },
        { title: "Freeze", ...ratio("freeze_ratio"), about: "Age, of autovacuum_freeze_max_age" },
        { title: "Autovacuum ran", value: when("last_autovacuum") },
        { title: "Vacuum ran", value: when("last_vacuum") },
        { title: "Autoanalyze ran", value: when("last_autoanalyze") },
        { title: "Partition of", value: textIn(row, "partition_root") || "–" },
        { title: "Options", value: textIn(row, "reloptions") || "–" },
      ]}
    />
  );
}
