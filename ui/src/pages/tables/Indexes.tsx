import { type ReactNode, useMemo } from "react";
import { Copy } from "../../components/Copy";
import { Filter } from "../../components/Filter";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn, timeOf } from "../../data/rows";
import { useSession } from "../../data/session";
import { useSearch, useSet } from "../../data/url";
import { ago } from "../../data/why";
import { ServerScope } from "../ServerScope";
import { type Verdict, dropOf, verdictsOf } from "./indexes";

export function Indexes(): ReactNode {
  return <ServerScope title="Indexes">{(server) => <IndexesOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "indexes", query: "indexes" },
  { id: "why", query: "why" },
];

const TABS: readonly (readonly [Verdict | "", string])[] = [["", "All"], ["unused", "Unused"], ["duplicate", "Duplicate"], ["invalid", "Invalid"]];

/** What helps nobody? */
function IndexesOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("indexes", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const search = useSearch();
  const set = useSet();
  const { ahead } = useSession();
  const all = rowsIn(page.data?.outcomes.get("indexes"));
  const verdicts = useMemo(() => verdictsOf(all), [all]);
  const tab = TABS.find(([id]) => id === search["tab"])?.[0] ?? "";
  const words = (search["q"] ?? "").toLowerCase();
  const fits = (row: Row): boolean => (tab === "" || verdicts.get(row) === tab) && `${textIn(row, "indexrelname")} ${textIn(row, "relname")} ${textIn(row, "database_name")}`.toLowerCase().includes(words);
  const sum = (id: Verdict | ""): string => {
    const some = all.filter((row) => id === "" || verdicts.get(row) === id);
    return `${some.length}, ${figure(some.reduce((bytes, row) => bytes + (numberIn(row, "size") ?? 0), 0), "B")}`;
  };
  const columns: GridColumn[] = [
    { id: "indexrelname", title: "Index", show: (row) => <strong>{textIn(row, "indexrelname")}</strong> },
    { id: "relname", title: "Table" },
    { id: "database_name", title: "Database" },
    { id: "verdict", title: "Verdict", value: (row) => verdicts.get(row), show: (row) => { const verdict = verdicts.get(row); return verdict === "used" ? "used" : <span className="badge warn">! {verdict}</span>; } },
    { id: "size", title: "Size", unit: "B" },
    { id: "bloat_size", title: "Bloat", unit: "B", show: (row) => (row["bloat_size"] === null ? "unknown" : `${figure(row["bloat_size"], "B")} ${textIn(row, "method")}`) },
    { id: "scans", title: "Scans", unit: "", about: "In this range, on all members" },
    { id: "last_idx_scan", title: "Last scan", value: (row) => (row["last_idx_scan"] ? timeOf(row["last_idx_scan"]) : null), show: (row) => (row["last_idx_scan"] ? ago(timeOf(row["last_idx_scan"]), Date.now() + ahead) : "not known") },
    { id: "amname", title: "Kind" },
    { id: "indisunique", title: "Unique" },
    { id: "drop", title: "Drop", value: () => null, show: (row) => (verdicts.get(row) === "used" ? "" : <Copy text={dropOf(row)} label="Copy" />) },
  ];
  return (
    <>
      <Filter label="Filter indexes">
        {TABS.map(([id, title]) => <button key={id} type="button" className="chip" aria-pressed={tab === id} onClick={() => set({ tab: id })}>{title} ({sum(id)})</button>)}
        <PageState page={page} />
      </Filter>
      <p className="muted">Unused: no member has read it in this range, and no constraint needs it. Look at a range that is long enough for month-end; this one is kept for seven days at most.</p>
      <Panel title="Indexes" unit="of the primary" id="indexes" page={page} nothing="No index of a primary is known.">
        {(rows) => {
          const some = asObjects(rows).filter(fits);
          return some.length > 0 ? <Grid label="Indexes" rows={some} columns={columns} rowKey={(row) => `${textIn(row, "database_name")}|${textIn(row, "schemaname")}|${textIn(row, "indexrelname")}`} sort="-size" /> : <p className="state">No such index.</p>;
        }}
      </Panel>
    </>
  );
}
