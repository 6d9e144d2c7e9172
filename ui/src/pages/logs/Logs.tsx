import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { type Plan, usePage } from "../../data/page";
import { patternOf } from "../../data/pattern";
import { asObjects, rowsIn } from "../../data/rows";
import { useSearch, useSet } from "../../data/url";
import { ChartPanel } from "../ChartPanel";
import { ServerScope } from "../ServerScope";
import { EventLane } from "../server/Events";
import { Entries } from "./Entries";

export function Logs(): ReactNode {
  return <ServerScope title="Logs">{(server) => <LogsOf key={server.id} server={server} />}</ServerScope>;
}

/** Of all servers. */
export function FleetLogs(): ReactNode {
  return (
    <>
      <div className="title"><h1>Logs</h1><span className="muted">of all servers</span></div>
      <LogsOf server={null} />
    </>
  );
}

const SEVERITIES = ["", "PANIC", "FATAL", "ERROR", "WARNING", "LOG"];

/** What did the server say, how often, about what? */
function LogsOf({ server }: { server: ServerInfo | null }): ReactNode {
  const search = useSearch();
  const set = useSet();
  const severity = SEVERITIES.includes(search["severity"] ?? "") ? (search["severity"] ?? "") : "";
  const pattern = patternOf(search["q"] ?? "");
  const serverId = server?.id ?? null;
  const plan = useMemo(
    (): Plan => ({
      asks: [
        { id: "histogram", query: serverId ? "log_histogram" : "fleet_log_histogram" },
        { id: "entries", query: serverId ? "log_entries" : "fleet_logs", values: { severity, pattern } },
        { id: "events", query: serverId ? "events" : "fleet_events" },
        ...(serverId ? [{ id: "why", query: "why" }] : []),
      ],
      values: serverId ? { server: serverId } : {},
    }),
    [serverId, severity, pattern],
  );
  const page = usePage(serverId ? "logs" : "fleet-logs", plan);
  const { data } = page;
  const other = server ? "class" : "server";
  const by = search["by"] === other ? other : "severity";
  return (
    <>
      <Filter label="Filter entries">
        {SEVERITIES.map((each) => <button key={each} type="button" className="chip" aria-pressed={severity === each} onClick={() => set({ severity: each })}>{each || "All"}</button>)}
        <PageState page={page} />
      </Filter>
      <ChartPanel
        title="Entries"
        note={`counted, by ${by}; complete also where entries were not kept`}
        id="histogram"
        page={page}
        value="n"
        by={by}
        isStack
        nothing="Nothing was logged in this range, or the log can't be read."
        actions={<button type="button" className="chip" onClick={() => set({ by: by === other ? "" : other }, { replace: true })}>by {by === other ? "severity" : other}</button>}
      />
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={serverId} />}
      <Panel title="Newest entries" unit="500 at most; a range or a word narrows them" id="entries" page={page} nothing={search["q"] ? "No entry has these words." : "No entry in this range."}>
        {(rows) => <Entries rows={asObjects(rows)} server={server} />}
      </Panel>
    </>
  );
}
