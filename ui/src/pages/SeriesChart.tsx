import { type ReactNode, useMemo } from "react";
import { TimeChart } from "../charts/TimeChart";
import { CLASS_ORDER, isWaitClass } from "../charts/colors";
import { catalogue } from "../data/catalogue";
import type { PageData } from "../data/page";
import { rowsIn } from "../data/rows";
import { type Series, largest, linesOf } from "../data/series";

export interface SeriesProps {
  page: PageData;
  id: string;
  /** The same query over the other period. */
  beforeId?: string | undefined;
  value: string;
  by?: string | undefined;
  label: string;
  isStack?: boolean;
  /** Whether a line that did not change where others did is at zero there: sums are, shares and means are not. */
  isSum?: boolean;
  limit?: { value: number; label: string } | undefined;
  most?: number;
  step?: number;
  name?: (label: string) => string;
}

/** Rows without a figure: a mean of nothing. */
export const NO_VALUE = "There is no figure in any step of this range: nothing happened that it could be made of.";

/** Wait classes stand in their own order, whatever their size. */
export function ordered(series: Series): Series {
  if (!series.lines.every((line) => isWaitClass(line.label))) return series;
  const place = (label: string): number => CLASS_ORDER.indexOf(label);
  return { times: series.times, lines: [...series.lines].sort((a, b) => place(a.label) - place(b.label)) };
}

/** A chart of a query of the page; its unit is the catalogue's. */
export function SeriesChart({ page, id, beforeId, value, by, label, isStack = false, isSum = false, limit, most = 9, step: own, name }: SeriesProps): ReactNode {
  const { range, other, outcomes, sent } = page;
  const step = Math.max(own ?? 0, page.step);
  const unit = catalogue.get(sent.get(id)?.name ?? "")?.units[value] ?? "";
  const rows = rowsIn(outcomes.get(id));
  const earlier = beforeId ? rowsIn(outcomes.get(beforeId)) : [];
  const series = useMemo(() => {
    const found = linesOf(rows, range, step, value, by ?? null, 0, isStack || isSum);
    // In a stack a line of zeros is not seen, and only makes the legend long.
    const seen = found.lines.filter((line) => line.values.some((each) => each !== null && each !== 0));
    const all = ordered(largest(isStack && seen.length > 0 ? { times: found.times, lines: seen } : found, most));
    const named = (text: string): string => (name ? name(text) : by ? text : label);
    return { times: all.times, lines: all.lines.map((line) => ({ ...line, label: named(line.label) })) };
  }, [rows, range, step, value, by, isStack, isSum, most, name, label]);
  const before = useMemo(() => {
    if (!other || earlier.length === 0) return undefined;
    const shift = range.from - Math.floor(other.from / (step * 1000)) * step * 1000;
    const all = linesOf(earlier, range, step, value, isStack ? null : (by ?? null), shift);
    return largest(all, 3);
  }, [earlier, other, range, step, value, by, isStack]);
  if (series.lines.every((line) => line.values.every((each) => each === null))) return <p className="state chart">{NO_VALUE}</p>;
  return <TimeChart label={label} unit={unit} series={series} before={before} isStack={isStack} limit={limit} step={step} />;
}
