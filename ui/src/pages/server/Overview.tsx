import { type ReactNode, useMemo } from "react";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import { To } from "../../components/To";
import type { ServerInfo } from "../../data/api";
import { slugOf } from "../../data/servers";
import { usePage } from "../../data/page";
import { asObjects, numberIn, rowsIn } from "../../data/rows";
import { ChartPanel } from "../ChartPanel";
import { ServerScope } from "../ServerScope";
import { EventLane } from "./Events";
import { Facts } from "./Facts";
import { Hosts } from "./Hosts";
import { Io } from "./Io";
import { Safety } from "./Safety";
import { TopQueries } from "./TopQueries";

export function Overview(): ReactNode {
  return <ServerScope title="Overview">{(server) => <OverviewOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "facts", query: "server_now" },
  { id: "host", query: "server_host" },
  { id: "load", query: "load_by_class" },
  { id: "rates", query: "database_rates" },
  { id: "rates_before", query: "database_rates", other: true },
  { id: "sessions", query: "sessions_by_state" },
  { id: "safety", query: "safety" },
  { id: "top", query: "queries_top", most: 8 },
  { id: "io", query: "io" },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

/** Busy with what, limited by what, safe, changed? */
function OverviewOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("overview", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const { data } = page;
  const most = (id: string, column: string): number => rowsIn(data?.outcomes.get(id)).reduce((top, row) => Math.max(top, numberIn(row, column) ?? 0), 0);
  const cpus = most("host", "cpus");
  const rates = (value: string, label: string, unit: string, nothing: string, isStack: boolean): ReactNode => (
    <ChartPanel title={label} note={unit} page={page} id="rates" beforeId="rates_before" value={value} by="datname" isStack={isStack} nothing={nothing} />
  );
  return (
    <>
      <PageState page={page} />
      <Panel title="Instances" id="facts" page={page} nothing="Nothing is known of its instances yet.">
        {(rows) => <Facts rows={asObjects(rows)} />}
      </Panel>
      {server.databases.length > 0 && (
        <p className="row">
          <span className="muted">Databases</span>
          {server.databases.slice(0, 24).map((name) => <To key={name} path={`/s/${slugOf(server)}/db/${encodeURIComponent(name)}`}>{name}</To>)}
          {server.databases.length > 24 && <span className="muted">and {server.databases.length - 24} more (Ctrl+K)</span>}
        </p>
      )}
      <Hosts rows={rowsIn(data?.outcomes.get("host"))} />
      <Panel title="Safety" unit="now" id="safety" page={page} nothing="Nothing is known yet.">
        {(rows) => <Safety row={asObjects(rows)[0]} server={server} />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <div className="grid2">
        <ChartPanel title="Load" note="active sessions by what they wait for" page={page} id="load" value="sessions" by="wait_class" isStack limit={cpus > 0 ? { value: cpus, label: `${cpus} processors` } : undefined} nothing="No session was active." />
        {rates("tps", "Transactions", "a second, by database", "No transaction ended.", true)}
        <ChartPanel title="Sessions" note="clients by state" page={page} id="sessions" value="n" by="state" isStack nothing="No client was connected." />
        {rates("hit", "Cache hit", "blocks found in shared buffers, by database", "No block was read.", false)}
        {rates("temp", "Temporary files", "bytes a second, by database", "Nothing was written to temporary files.", true)}
        {rates("rollbacks", "Rollbacks", "a second, by database", "Nothing was rolled back.", true)}
      </div>
      <div className="grid2">
        <Panel title="Statements" unit="that took most time" id="top" page={page} nothing="No statement ended in this range.">
          {(rows) => <TopQueries rows={asObjects(rows).slice(0, 8)} server={server} />}
        </Panel>
        <Panel title="Reads and writes" unit="pg_stat_io, by who and why" id="io" page={page} nothing="Nothing was read or written.">
          {(rows) => <Io rows={asObjects(rows)} />}
        </Panel>
      </div>
    </>
  );
}
