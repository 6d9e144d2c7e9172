import { type ReactNode, useMemo, useState } from "react";
import { TimeChart } from "../../charts/TimeChart";
import { Grid, type GridColumn } from "../../components/Grid";
import type { Rows } from "../../data/batch";
import { type Row, timeOf } from "../../data/rows";
import { type Series, largest, linesOf } from "../../data/series";
import { type Shape, shapeOf } from "./result";

/** The smallest distance of two times, in seconds. */
function distance(times: number[]): number {
  const sorted = [...new Set(times)].sort((a, b) => a - b);
  let least = Infinity;
  for (let at = 1; at < sorted.length; at += 1) least = Math.min(least, (sorted[at] ?? 0) - (sorted[at - 1] ?? 0));
  return Number.isFinite(least) ? Math.max(1, Math.round(least / 1000)) : 60;
}

/** Most steps of a chart: what is left out is said. */
const MOST_STEPS = 1_000_000;

function seriesOf(answer: Rows, shape: Shape): { series: Series; step: number; isCut: boolean } {
  const times = answer.rows.map((row) => timeOf(row[shape.time]));
  const step = distance(times);
  const [first, last] = times.reduce(([low, high], time) => [Math.min(low, time), Math.max(high, time)], [Infinity, -Infinity]);
  const range = { from: first, to: last + step * 1000 };
  const rows: Row[] = answer.rows.flatMap((row) =>
    shape.figures.map((figure) => {
      const name = answer.columns[figure]?.name ?? "";
      const by = shape.by < 0 ? name : shape.figures.length > 1 ? `${String(row[shape.by])} ${name}` : String(row[shape.by]);
      return { t: row[shape.time] ?? null, v: row[figure] ?? null, by };
    }),
  );
  const series = largest(linesOf(rows, range, step, "v", "by", 0, false, MOST_STEPS), 12);
  return { series, step, isCut: last - first > MOST_STEPS * step * 1000 };
}

/** An answer as a table, and over time where it has one. */
export function AnswerView({ answer }: { answer: Rows }): ReactNode {
  const shape = useMemo(() => shapeOf(answer), [answer]);
  const [isChart, setChart] = useState(false);
  // A name may be there twice.
  const rows = useMemo<Row[]>(() => answer.rows.map((row) => Object.fromEntries(row.map((value, at) => [String(at), value]))), [answer]);
  const columns = answer.columns.map((column, at): GridColumn => ({
    id: String(at),
    title: column.name,
    about: column.type,
    show: (row) => {
      const value = row[String(at)];
      if (value === null || value === undefined) return <span className="muted">NULL</span>;
      return <span className="cut" title={String(value).slice(0, 2000)}>{typeof value === "object" ? JSON.stringify(value) : String(value)}</span>;
    },
  }));
  const drawn = useMemo(() => (isChart && shape ? seriesOf(answer, shape) : null), [answer, shape, isChart]);
  return (
    <>
      <div className="row">
        <span>{answer.rows.length.toLocaleString("en")} {answer.rows.length === 1 ? "row" : "rows"} in {answer.elapsed_ms} ms</span>
        {answer.truncated && <span className="badge warn">there are more; this is the limit of rows or bytes</span>}
        <span className="grow" />
        <button type="button" className="chip" aria-pressed={!isChart} onClick={() => setChart(false)}>Table</button>
        <button type="button" className="chip" aria-pressed={isChart} disabled={!shape} title={shape ? undefined : "Needs a time, a figure, and at most one text"} onClick={() => setChart(true)}>Chart</button>
      </div>
      {drawn?.isCut && <p className="state">Its times are so far apart, for how close the closest ones are, that only the first {MOST_STEPS.toLocaleString("en")} steps are drawn.</p>}
      {drawn ? <TimeChart label="Answer" unit="" series={drawn.series} step={drawn.step} height={300} /> : answer.rows.length > 0 ? <Grid label="Rows of the answer" rows={rows} columns={columns} rowKey={(_, at) => String(at)} sort="" param="rsort" /> : <p className="state">No rows.</p>}
    </>
  );
}
