import { type ReactNode, useMemo } from "react";
import { TimeChart } from "../charts/TimeChart";
import { Panel } from "../components/Panel";
import type { Page } from "../data/page";
import { type Row, rowsIn } from "../data/rows";
import { linesOf } from "../data/series";
import { NO_VALUE } from "./SeriesChart";

/** Rows with several figures as rows with one each, in the order of the names. */
export function unfolded(rows: Row[], names: Record<string, string>): Row[] {
  return rows.flatMap((row) => Object.entries(names).map(([column, line]): Row => ({ t: row["t"] ?? null, line, value: row[column] ?? null })));
}

interface Props {
  page: Page;
  id: string;
  title: string;
  unit: string;
  /** Names of columns and what they are called. */
  of: Record<string, string>;
  measure: string;
  nothing: string;
  isStack?: boolean;
  /** Seconds that its step is never under, as in its question. */
  step?: number;
  limit?: { value: number; label: string } | undefined;
}

/** Several columns of a query as lines of one chart. */
export function Several({ page, id, title, unit, of, measure, nothing, isStack = false, limit, step: own = 0 }: Props): ReactNode {
  const { data } = page;
  const rows = rowsIn(data?.outcomes.get(id));
  const names = JSON.stringify(of);
  const step = Math.max(own, data?.step ?? 60);
  const series = useMemo(() => (data ? linesOf(unfolded(rows, JSON.parse(names) as Record<string, string>), data.range, step, "value", "line", 0, isStack) : null), [rows, data, names, isStack, step]);
  return (
    <Panel title={title} unit={unit} id={id} page={page} nothing={nothing} isChart>
      {() => series?.lines.every((line) => line.values.every((each) => each === null)) ? <p className="state chart">{NO_VALUE}</p> : series && <TimeChart label={title} unit={measure} series={series} isStack={isStack} limit={limit} step={step} />}
    </Panel>
  );
}
