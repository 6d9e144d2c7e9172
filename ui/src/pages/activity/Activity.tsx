import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { dateTime } from "../../data/format";
import { usePage } from "../../data/page";
import { printTime } from "../../data/range";
import { type Row, asObjects, rowsIn } from "../../data/rows";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";
import { useSearch, useSet, useTimes } from "../../data/url";
import { ChartPanel } from "../ChartPanel";
import { ServerScope } from "../ServerScope";
import { EventLane } from "../server/Events";
import { Bill } from "./Bill";
import { Blocking } from "./Blocking";
import { Sessions } from "./Sessions";

export function Activity(): ReactNode {
  return <ServerScope title="Activity and locks">{(server) => <ActivityOf key={server.id} server={server} />}</ServerScope>;
}

/** How far before a moment the last look at sessions may be. */
const LOOK = 35_000;
/** A moment is a second long: addresses are not finer, and looks are. */
const SECOND = 1000;

/** Who runs, who waits for whom, now or then? */
function ActivityOf({ server }: { server: ServerInfo }): ReactNode {
  const times = useTimes();
  const search = useSearch();
  const set = useSet();
  const { ahead } = useSession();
  const { zone } = useSettings();
  const moment = times.at;
  const plan = useMemo(() => {
    const around = moment === null ? { from: "now-35s", to: "now" } : { from: printTime(moment - LOOK), to: printTime(moment + SECOND) };
    return {
      asks: [
        { id: "sessions", query: "sessions_at", values: around },
        { id: "blocking", query: "blocking_at", values: around },
        { id: "pressure", query: "lock_pressure" },
        { id: "states", query: "sessions_by_state" },
        { id: "bill", query: "lock_bill" },
        { id: "events", query: "events" },
        { id: "why", query: "why" },
      ],
      values: { server: server.id },
    };
  }, [server.id, moment]);
  const page = usePage("activity", plan);
  const { data } = page;
  const step = (seconds: number): void => set({ at: printTime((moment ?? Date.now() + ahead) + seconds * 1000) }, { replace: true });
  const words = (search["q"] ?? "").toLowerCase();
  const fits = (row: Row): boolean => words === "" || Object.values(row).some((value) => String(value ?? "").toLowerCase().includes(words));
  const when = moment === null ? "now" : `at ${dateTime(moment, zone)}`;
  return (
    <>
      <div className="row" role="group" aria-label="Moment">
        <button type="button" className="button" onClick={() => step(-60)}>− 1 min</button>
        <button type="button" className="button" onClick={() => step(-10)}>− 10 s</button>
        <strong aria-live="polite">{when}</strong>
        <button type="button" className="button" disabled={moment === null} onClick={() => step(10)}>+ 10 s</button>
        <button type="button" className="button" disabled={moment === null} onClick={() => step(60)}>+ 1 min</button>
        {moment !== null && <button type="button" className="button" onClick={() => set({ at: "" })}>to now</button>}
        <PageState page={page} />
      </div>
      <Panel title="Who waits for whom" unit={when} id="blocking" page={page} nothing="No session waited for a lock.">
        {(rows) => <Blocking rows={asObjects(rows)} />}
      </Panel>
      <Panel title="Sessions" unit={`not idle, ${when}`} id="sessions" page={page} nothing="No session did anything when it was last looked." actions={<Filter label="Filter sessions" />}>
        {(rows) => <Sessions rows={asObjects(rows).filter(fits)} server={server} />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <div className="grid2">
        <ChartPanel title="Lock pressure" note="seconds waited, by the state of who held the lock" page={page} id="pressure" value="s" by="holder" isStack nothing="Nobody waited for a lock." />
        <ChartPanel title="Sessions" note="clients by state" page={page} id="states" value="n" by="state" isStack nothing="No client was connected." />
      </div>
      <Panel title="Who made others wait" unit="seconds waited for locks in this range, billed to the head of the queue" id="bill" page={page} nothing="Nobody waited for a lock in this range.">
        {(rows) => <Bill rows={asObjects(rows)} server={server} />}
      </Panel>
    </>
  );
}
