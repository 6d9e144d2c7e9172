import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { asObjects, numberIn, rowsIn } from "../../data/rows";
import { useSearch, useSet, useTimes } from "../../data/url";
import { ServerScope } from "../ServerScope";
import { EventLane } from "../server/Events";
import { List } from "./List";
import { matching } from "./figures";

export function Queries(): ReactNode {
  return <ServerScope title="Queries">{(server) => <QueriesOf key={server.id} server={server} />}</ServerScope>;
}

/** Of all servers. */
export function FleetQueries(): ReactNode {
  return (
    <>
      <div className="title"><h1>Queries</h1><span className="muted">of all servers</span></div>
      <QueriesOf server={null} />
    </>
  );
}

const FLEET = { asks: [{ id: "queries", query: "fleet_queries" }, { id: "events", query: "fleet_events" }], values: {} };
const ASKS = [
  { id: "queries", query: "queries_top" },
  { id: "events", query: "events" },
  { id: "coverage", query: "coverage" },
  { id: "why", query: "why" },
];

/** What costs, what got worse, what is new? */
function QueriesOf({ server }: { server: ServerInfo | null }): ReactNode {
  const page = usePage(server ? "queries" : "fleet-queries", useMemo(() => (server ? { asks: ASKS, values: { server: server.id } } : FLEET), [server]));
  const search = useSearch();
  const set = useSet();
  const times = useTimes();
  const isChanged = search["tab"] === "changed" && times.vs !== "";
  const share = numberIn(rowsIn(page.data?.outcomes.get("coverage"))[0], "share");
  return (
    <>
      <Filter label="Filter statements">
        <button type="button" className="chip" aria-pressed={!isChanged} onClick={() => set({ tab: "", sort: "" })}>Top</button>
        <button type="button" className="chip" aria-pressed={isChanged} onClick={() => set({ tab: "changed", sort: "", vs: times.vs || "prev" })}>Changed</button>
        <PageState page={page} />
      </Filter>
      {page.data && <EventLane rows={rowsIn(page.data.outcomes.get("events"))} range={page.data.range} serverId={server?.id ?? null} />}
      <Panel
        title={isChanged ? "Statements by change of time" : "Statements"}
        unit={times.vs ? `compared with ${times.vs === "prev" ? "the period before" : `${times.vs} before`}` : "of pg_stat_statements"}
        id="queries"
        page={page}
        nothing="No statement ended in this range."
      >
        {(rows) => <List rows={matching(asObjects(rows), search["q"] ?? "")} server={server} isCompared={times.vs !== ""} isChanged={isChanged} />}
      </Panel>
      {share !== null && (
        <p className="muted">
          These statements explain {figure(Math.min(share, 9.99), "ratio")} of the time that the databases say they were active. The rest still ran, was evicted, or is not tracked; over 100 %: statements that began before.
        </p>
      )}
    </>
  );
}
