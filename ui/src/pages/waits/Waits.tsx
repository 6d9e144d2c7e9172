import { type ReactNode, useMemo } from "react";
import { TimeChart } from "../../charts/TimeChart";
import { oneLine } from "../../data/format";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { usePage } from "../../data/page";
import { asObjects, numberIn, rowsIn, textIn } from "../../data/rows";
import { largest, linesOf } from "../../data/series";
import { useSearch, useSet } from "../../data/url";
import { ServerScope } from "../ServerScope";
import { ChartPanel } from "../ChartPanel";
import { ordered } from "../SeriesChart";
import { EventLane } from "../server/Events";
import { Top } from "./Top";
import { DIMENSIONS, asSessions, filtered, printChips, readChips, toggled } from "./cube";

export function Waits(): ReactNode {
  return <ServerScope title="Waits">{(server) => <WaitsOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "cube", query: "ash_cube" },
  { id: "texts", query: "query_texts" },
  { id: "host", query: "server_host" },
  { id: "measures", query: "load_measures", leastStep: 60 },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

/** What did the time go to? */
function WaitsOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("waits", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const search = useSearch();
  const set = useSet();
  const { data } = page;
  const by = DIMENSIONS.find(([id]) => id === search["by"])?.[0] ?? "wait_class";
  const chips = useMemo(() => readChips(search["f"] ?? ""), [search]);
  const cells = useMemo(() => filtered(rowsIn(data?.outcomes.get("cube")), chips), [data, chips]);
  const series = useMemo(() => (data ? ordered(largest(linesOf(asSessions(cells, data.step), data.range, data.step, "sessions", by, 0, true), 10)) : null), [data, cells, by]);
  const texts = useMemo(() => new Map(rowsIn(data?.outcomes.get("texts")).map((row) => [textIn(row, "queryid"), textIn(row, "query")])), [data]);
  const named = (dimension: string) => (value: string): string => (dimension === "query_id" ? texts.get(value) : undefined) || value || "(none)";
  const cpus = rowsIn(data?.outcomes.get("host")).reduce((most, row) => Math.max(most, numberIn(row, "cpus") ?? 0), 0);
  const turn = (dimension: string, value: string, isOut: boolean): void => set({ f: printChips(toggled(chips, { dimension, value, isOut })) });
  return (
    <>
      <div className="row" role="group" aria-label="By">
        {DIMENSIONS.map(([id, words]) => (
          <button key={id} type="button" className="chip" aria-pressed={id === by} onClick={() => set({ by: id === "wait_class" ? "" : id })}>{words}</button>
        ))}
        <PageState page={page} />
      </div>
      {chips.length > 0 && (
        <div className="row" role="group" aria-label="Filters">
          {chips.map((chip) => (
            <button key={printChips([chip])} type="button" className="chip" onClick={() => turn(chip.dimension, chip.value, chip.isOut)} title="Take this filter out">
              {chip.isOut ? "not " : ""}{chip.dimension}: {named(chip.dimension)(chip.value).slice(0, 60)} ✕
            </button>
          ))}
        </div>
      )}
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <Panel title="Active sessions" unit="on average, from samples of each second" id="cube" page={page} nothing="No session was active when it was sampled." isChart>
        {() => series && <TimeChart label="Active sessions" unit="" series={{ times: series.times, lines: series.lines.map((line) => ({ ...line, label: oneLine(named(by)(line.label), 60) })) }} isStack limit={cpus > 0 ? { value: cpus, label: `${cpus} processors` } : undefined} step={data?.step ?? 60} height={280} />}
      </Panel>
      <ChartPanel title="Three measures of load" note="where they agree, one may trust them" page={page} id="measures" value="load" by="measure" isSum step={60} nothing="None of them was taken in this range.">
        <p className="muted">Samples and active sessions above statements: what still runs, was evicted, or is not tracked. Statements above samples: work that ended here and began before.</p>
      </ChartPanel>
      <div className="grid2">
        {DIMENSIONS.map(([id, words]) => (
          <Panel key={id} title={words} unit="a row filters; Alt leaves it out" id="cube" page={page} nothing="Nothing was sampled.">
            {(rows) => <Top title={words} dimension={id} cells={chips.length > 0 ? cells : asObjects(rows)} server={server} turn={turn} named={named(id)} />}
          </Panel>
        ))}
      </div>
    </>
  );
}
