import { type FormEvent, type ReactNode, useState } from "react";
import { Menu } from "../components/Menu";
import { PRESETS, type Range, printTime, shift, zoom } from "../data/range";
import { dayAndTime, forField, readField } from "../data/format";
import { useSettings } from "../data/settings";
import { asSearch, useSearch, useSet, useTimes } from "../data/url";

const OTHERS: readonly (readonly [string, string])[] = [
  ["", "no comparison"],
  ["prev", "vs the period before"],
  ["1d", "vs a day before"],
  ["7d", "vs a week before"],
];

/** Which time all charts show, and with which they are compared. */
export function TimePicker(): ReactNode {
  const times = useTimes();
  const set = useSet();
  const search = useSearch();
  const { zone } = useSettings();
  const range = times.resolve(Date.now());
  const named = times.to === "now" ? PRESETS.find(([from]) => from === times.from)?.[1] : undefined;
  const to = (next: Range): void => set(asSearch(next));
  return (
    <div className="row" role="group" aria-label="Time">
      <button type="button" className="button plain" onClick={() => to(shift(range, -0.5))} aria-label="Earlier by half" title="Earlier by half ( [ )">‹</button>
      <Menu label="Choose the time" className="button" start isTime words={<>◷ {named ?? `${dayAndTime(range.from, zone)} – ${times.to === "now" ? "now" : dayAndTime(range.to, zone)}`}</>}>
        {PRESETS.map(([from, words]) => (
          <button key={from} type="button" className="button item" aria-pressed={from === times.from && times.to === "now"} onClick={() => set({ from: from === "now-1h" ? "" : from, to: "" })}>
            {words}
          </button>
        ))}
        <Absolute range={range} choose={to} />
      </Menu>
      <button type="button" className="button plain" onClick={() => to(shift(range, 0.5))} aria-label="Later by half" title="Later by half ( ] )">›</button>
      <button type="button" className="button plain" onClick={() => to(zoom(range, 2))} aria-label="Zoom out" title="Zoom out ( - )">⊖</button>
      <label>
        <span className="sr">Compare</span>
        <select value={search["vs"] ?? ""} onChange={(event) => set({ vs: event.target.value })}>
          {OTHERS.map(([vs, words]) => <option key={vs} value={vs}>{words}</option>)}
          {times.vs && !OTHERS.some(([vs]) => vs === times.vs) && <option value={times.vs}>vs {times.vs} before</option>}
        </select>
      </label>
      {times.to === "now" ? (
        <button type="button" className="button" aria-pressed={times.isLive} onClick={() => set({ live: times.isLive ? "off" : "" }, { replace: true })} title="Follow the present (l)">
          {times.isLive ? "● live" : "○ live"}
        </button>
      ) : (
        <button type="button" className="button" onClick={() => set({ from: "", to: "" })}>to now</button>
      )}
    </div>
  );
}

function Absolute({ range, choose }: { range: Range; choose: (range: Range) => void }): ReactNode {
  const { zone } = useSettings();
  const [problem, setProblem] = useState("");
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const read = (name: string): number => readField(String(form.get(name)), zone);
    const [from, to] = [read("from"), read("to")];
    if (!(from < to)) setProblem("The first time must be before the second.");
    else {
      setProblem("");
      choose({ from, to });
    }
  };
  return (
    <form className="stack" onSubmit={submit} key={printTime(range.from)}>
      <label className="field">From <input type="datetime-local" name="from" required defaultValue={forField(range.from, zone)} /></label>
      <label className="field">To <input type="datetime-local" name="to" required defaultValue={forField(range.to, zone)} /></label>
      {problem && <p className="field" role="alert">{problem}</p>}
      <button type="submit" className="button">Show ({zone === "utc" ? "UTC" : "local time"})</button>
    </form>
  );
}
