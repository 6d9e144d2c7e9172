import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { Grid } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn } from "../../data/rows";
import { useSession } from "../../data/session";
import { useSearch, useSet } from "../../data/url";
import { ServerScope } from "../ServerScope";
import { EventLane } from "../server/Events";
import { indexColumns } from "./indexColumns";
import { type Verdict, verdictsOf } from "./indexes";

export function Indexes(): ReactNode {
  return <ServerScope title="Indexes">{(server) => <IndexesOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "indexes", query: "indexes" },
  { id: "events", query: "events" },
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
  const columns = indexColumns(verdicts, Date.now() + ahead);
  return (
    <>
      <Filter label="Filter indexes">
        {TABS.map(([id, title]) => <button key={id} type="button" className="chip" aria-pressed={tab === id} onClick={() => set({ tab: id })}>{title} ({sum(id)})</button>)}
        <PageState page={page} />
      </Filter>
      <p className="muted">Unused: no member has read it in this range, and no constraint needs it. Look at a range that is long enough for month-end; this one is kept for seven days at most.</p>
      {page.data && <EventLane rows={rowsIn(page.data.outcomes.get("events"))} range={page.data.range} serverId={server.id} />}
      <Panel title="Indexes" unit="of the primary" id="indexes" page={page} nothing="No index of a primary is known.">
        {(rows) => {
          const some = asObjects(rows).filter(fits);
          return some.length > 0 ? <Grid label="Indexes" rows={some} columns={columns} rowKey={(row) => `${textIn(row, "database_name")}|${textIn(row, "schemaname")}|${textIn(row, "indexrelname")}`} sort="-size" /> : <p className="state">No such index.</p>;
        }}
      </Panel>
    </>
  );
}
