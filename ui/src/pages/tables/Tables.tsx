import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import { To } from "../../components/To";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, textIn, timeOf } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { useSession } from "../../data/session";
import { useSearch } from "../../data/url";
import { ago } from "../../data/why";
import { ServerScope } from "../ServerScope";

export function Tables(): ReactNode {
  return <ServerScope title="Tables">{(server) => <TablesOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "tables", query: "tables" },
  { id: "why", query: "why" },
];

/** Share of updates that needed no new index entries. */
export function hotOf(row: Row): number | null {
  const [hot, updates] = [numberIn(row, "hot"), numberIn(row, "upd")];
  return hot !== null && updates ? hot / updates : null;
}

export function grownOf(row: Row): number | null {
  const [now, was] = [numberIn(row, "total_size"), numberIn(row, "was")];
  return now !== null && was !== null ? now - was : null;
}

/** What grows, what bloats, what waits for vacuum? */
function TablesOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("tables", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const search = useSearch();
  const { ahead } = useSession();
  const words = (search["q"] ?? "").toLowerCase();
  const columns: GridColumn[] = [
    { id: "relname", title: "Table", show: (row) => <To path={`/s/${slugOf(server)}/tables/${encodeURIComponent(textIn(row, "database_name"))}/${textIn(row, "relid")}`}>{textIn(row, "relname")}</To> },
    { id: "schemaname", title: "Schema" },
    { id: "database_name", title: "Database", show: (row) => <To path={`/s/${slugOf(server)}/db/${encodeURIComponent(textIn(row, "database_name"))}`}>{textIn(row, "database_name")}</To> },
    { id: "total_size", title: "Size", unit: "B", about: "With indexes and TOAST", show: (row) => (row["skipped"] === true ? "locked" : figure(row["total_size"], "B")) },
    { id: "grown", title: "Grown", unit: "B", about: "In this range", value: grownOf },
    { id: "index_size", title: "Indexes", unit: "B" },
    { id: "bloat_size", title: "Bloat", unit: "B", show: (row) => (row["bloat_size"] === null ? <span title={textIn(row, "reason")}>unknown</span> : `${figure(row["bloat_size"], "B")} ${textIn(row, "method")}`) },
    { id: "n_live_tup", title: "Live rows", unit: "" },
    { id: "n_dead_tup", title: "Dead rows", unit: "" },
    { id: "vacuum_ratio", title: "Vacuum due", unit: "ratio", about: "Dead rows, of the threshold of autovacuum", show: (row) => ((numberIn(row, "vacuum_ratio") ?? 0) >= 1 ? <span className="up">! {figure(row["vacuum_ratio"], "ratio")}</span> : figure(row["vacuum_ratio"], "ratio")) },
    { id: "ins", title: "Inserted", unit: "" },
    { id: "upd", title: "Updated", unit: "" },
    { id: "hotshare", title: "HOT", unit: "ratio", about: "Updates that changed no index", value: hotOf },
    { id: "seq_scan", title: "Seq scans", unit: "" },
    { id: "idx_scan", title: "Index scans", unit: "" },
    { id: "last_autovacuum", title: "Autovacuum", value: (row) => (row["last_autovacuum"] ? timeOf(row["last_autovacuum"]) : null), show: (row) => (row["last_autovacuum"] ? ago(timeOf(row["last_autovacuum"]), Date.now() + ahead) : "never") },
  ];
  return (
    <>
      <Filter label="Filter tables"><PageState page={page} /></Filter>
      <Panel title="Tables" unit="of the primary" id="tables" page={page} nothing="No table of a primary is known; standbys have the same ones.">
        {(rows) => (
          <Grid
            label="Tables"
            rows={asObjects(rows).filter((row) => `${textIn(row, "schemaname")}.${textIn(row, "relname")} ${textIn(row, "database_name")}`.toLowerCase().includes(words))}
            columns={columns}
            rowKey={(row) => `${textIn(row, "database_name")}|${textIn(row, "relid")}`}
            sort="-total_size"
          />
        )}
      </Panel>
    </>
  );
}
