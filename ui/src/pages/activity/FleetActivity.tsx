import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import { To } from "../../components/To";
import { dateTime, figure, oneLine } from "../../data/format";
import { usePage } from "../../data/page";
import { printTime } from "../../data/range";
import { type Row, asObjects, textIn } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";
import { useSearch, useSet, useTimes } from "../../data/url";

/** How long a look at sessions may be ago, at each server. */
const LOOK = 60_000;

/** Who runs and who waits, on all servers, now or then? */
export function FleetActivity(): ReactNode {
  const times = useTimes();
  const search = useSearch();
  const set = useSet();
  const { boot, ahead } = useSession();
  const { zone } = useSettings();
  const moment = times.at;
  const page = usePage("fleet-activity", useMemo(() => {
    const around = moment === null ? { from: "now-60s", to: "now" } : { from: printTime(moment - LOOK), to: printTime(moment + 1000) };
    return { asks: [{ id: "blocking", query: "fleet_blocking", values: around }, { id: "sessions", query: "fleet_sessions", values: around }], values: {} };
  }, [moment]));
  const words = (search["q"] ?? "").toLowerCase();
  const when = moment === null ? "now" : `at ${dateTime(moment, zone)}`;
  const step = (seconds: number): void => set({ at: printTime((moment ?? Date.now() + ahead) + seconds * 1000) }, { replace: true });
  const fits = (row: Row): boolean => words === "" || Object.values(row).some((value) => String(value ?? "").toLowerCase().includes(words));
  const server: GridColumn = {
    id: "server",
    title: "Server",
    show: (row) => {
      const known = boot.servers.find((each) => each.id === row["server_id"]) ?? { id: textIn(row, "server_id"), name: textIn(row, "server") };
      return <To path={`/s/${slugOf(known)}/activity`} search={moment === null ? {} : { at: printTime(moment) }}>{textIn(row, "server")}</To>;
    },
  };
  const blocking: GridColumn[] = [
    server,
    { id: "root_pid", title: "Root", show: (row) => (row["root_pid"] === null ? "deadlock" : row["root_pid"] === 0 ? "prepared transaction" : textIn(row, "root_pid")) },
    { id: "root_state", title: "Does", show: (row) => textIn(row, "root_state") || "–" },
    { id: "waiting", title: "Holds up", unit: "" },
    { id: "longest", title: "Longest", unit: "s", show: (row) => <span className="up">! {figure(row["longest"], "s")}</span> },
    { id: "root_usename", title: "User" },
    { id: "root_application_name", title: "Application" },
    { id: "root_query", title: "Statement", isWide: true, show: (row) => <span className="cut mono">{oneLine(row["root_query"] ?? "–", 200)}</span> },
  ];
  const sessions: GridColumn[] = [
    server,
    { id: "pid", title: "PID", show: (row) => textIn(row, "pid") },
    { id: "state", title: "State" },
    { id: "wait_event", title: "Waits for", show: (row) => [textIn(row, "wait_event_type"), textIn(row, "wait_event")].filter(Boolean).join(": ") || "–" },
    { id: "xact_age", title: "Transaction", unit: "s" },
    { id: "query_age", title: "Statement", unit: "s" },
    { id: "datname", title: "Database" },
    { id: "usename", title: "User" },
    { id: "application_name", title: "Application" },
    { id: "blocked_by", title: "Blocked by", show: (row) => (row["blocked_by"] ? <span className="up">! {textIn(row, "blocked_by")}</span> : "–") },
  ];
  return (
    <>
      <div className="title"><h1>Activity</h1><span className="muted">of all servers, {when}</span></div>
      <div className="row" role="group" aria-label="Moment">
        <button type="button" className="button" onClick={() => step(-60)}>− 1 min</button>
        <button type="button" className="button" onClick={() => step(-10)}>− 10 s</button>
        <button type="button" className="button" disabled={moment === null} onClick={() => step(10)}>+ 10 s</button>
        {moment !== null && <button type="button" className="button" onClick={() => set({ at: "" })}>to now</button>}
        <PageState page={page} />
      </div>
      <Panel title="Who holds others up" unit={when} id="blocking" page={page} nothing="No session waited for a lock, on any server.">
        {(rows) => <Grid label="Who holds others up" rows={asObjects(rows)} columns={blocking} rowKey={(row, at) => `${textIn(row, "server_id")}|${textIn(row, "root_pid")}|${at}`} sort="-longest" param="bsort" />}
      </Panel>
      <Panel title="Sessions" unit={`not idle, the longest transactions first, ${when}`} id="sessions" page={page} nothing="No session did anything when it was last looked." actions={<Filter label="Filter sessions" />}>
        {(rows) => <Grid label="Sessions" rows={asObjects(rows).filter(fits)} columns={sessions} rowKey={(row, at) => `${textIn(row, "server_id")}|${textIn(row, "pid")}|${at}`} sort="-xact_age" />}
      </Panel>
    </>
  );
}
