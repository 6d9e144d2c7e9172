import { useParams } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { Copy } from "../../components/Copy";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { usePage } from "../../data/page";
import { type Row, asObjects, rowsIn, textIn } from "../../data/rows";
import { ChartPanel } from "../ChartPanel";
import { SeriesChart } from "../SeriesChart";
import { ServerScope } from "../ServerScope";
import { EventLane } from "../server/Events";
import { Owners } from "./Owners";
import { Seen } from "./Seen";
import { Plans, Slowest } from "./Logged";

export function QueryPage(): ReactNode {
  const { queryid = "" } = useParams({ strict: false }) as { queryid?: string };
  // What is no id would be an error of every query.
  const isId = /^-?\d{1,19}$/.test(queryid);
  return (
    <ServerScope title="Query">
      {(server) => (isId ? <QueryOf key={`${server.id}${queryid}`} server={server} queryid={queryid} /> : <p className="notice warn">“{queryid.slice(0, 60)}” is no id of a statement.</p>)}
    </ServerScope>
  );
}

const ASKS = [
  { id: "text", query: "query_text" },
  { id: "series", query: "query_series" },
  { id: "series_before", query: "query_series", other: true },
  { id: "waits", query: "query_waits" },
  { id: "seen", query: "query_seen" },
  { id: "tail", query: "query_tail" },
  { id: "plans", query: "query_plans" },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

const CHARTS: readonly (readonly [string, string, string])[] = [
  ["load", "Load", "sessions that run it, on average"],
  ["mean_ms", "Mean time", "of a run"],
  ["per_second", "Calls", "a second"],
  ["rows_a_call", "Rows", "a run"],
  ["read_a_call", "Blocks read", "a run, from outside of shared buffers"],
  ["wal", "WAL", "a second"],
];

/** Why slow, since when, what to do? */
function QueryOf({ server, queryid }: { server: ServerInfo; queryid: string }): ReactNode {
  const page = usePage("query", useMemo(() => ({ asks: ASKS, values: { server: server.id, queryid } }), [server.id, queryid]));
  const { data } = page;
  const text = textIn(rowsIn(data?.outcomes.get("text")).find((row) => row["query"] !== null), "query");
  return (
    <>
      <PageState page={page} />
      <Panel title="Statement" unit={`queryid ${queryid}`} id="text" page={page} nothing="This server does not know this statement (any more)." actions={text ? <Copy text={text} label="Copy the text" /> : undefined}>
        {(rows) => (
          <>
            <pre className="sqltext mono">{text || "Its text is not known: it was not collected, or has been evicted."}</pre>
            <Owners rows={asObjects(rows)} />
          </>
        )}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <div className="grid2">
        {CHARTS.map(([value, label, unit]) => (
          <Panel key={value} title={label} unit={unit} id="series" page={page} nothing="It did not end in this range." isChart>
            {(rows) => data && <><Inexact rows={asObjects(rows)} /><SeriesChart page={data} id="series" beforeId="series_before" value={value} label={label} /></>}
          </Panel>
        ))}
      </div>
      <ChartPanel title="Waits" note="seconds that sampled sessions spent" page={page} id="waits" value="s" by="wait_class" isStack nothing="No sample met it." />
      <Panel title="Seen running" unit="newest first" id="seen" page={page} nothing="It was not running when sessions were listed.">
        {(rows) => <Seen rows={asObjects(rows)} />}
      </Panel>
      <div className="grid2">
        <Panel title="Slowest runs" unit="from the log" id="tail" page={page} nothing="The log has no run of it: none was over log_min_duration_statement, or that is off.">
          {(rows) => <Slowest rows={asObjects(rows)} />}
        </Panel>
        <Panel title="Plans" unit="from the log" id="plans" page={page} nothing="The log has no plan of it. auto_explain logs plans: shared_preload_libraries = 'auto_explain', auto_explain.log_min_duration = '1s'.">
          {(rows) => <Plans rows={asObjects(rows)} />}
        </Panel>
      </div>
    </>
  );
}

function Inexact({ rows }: { rows: Row[] }): ReactNode {
  const count = rows.filter((row) => row["exact"] === 0).length;
  return count > 0 ? <p><span className="badge warn">≥ lower bound in {count} {count === 1 ? "step" : "steps"}</span> <span className="muted">a counter began anew</span></p> : null;
}
