// From rows to lines: every bucket has its place, and where nothing is there, nothing is drawn.
import type { Range } from "./range";
import { type Row, timeOf } from "./rows";

export interface Line {
  label: string;
  values: (number | null)[];
}

export interface Series {
  /** Begin of each bucket, seconds since 1970. */
  times: number[];
  lines: Line[];
}

/** The buckets of a range. */
export function bucketsOf(range: Range, step: number, most = 20_000): number[] {
  const [first, last] = [Math.floor(range.from / 1000 / step) * step, Math.ceil(range.to / 1000 / step) * step];
  const count = Math.min(Math.max(0, Math.round((last - first) / step)), most);
  return Array.from({ length: count }, (_, at) => first + at * step);
}

/**
 * Lines of rows with a column `t`: one for each value of `by`, of the figures in
 * `value`. In a stack, who is missing in a bucket that others have is 0 there.
 */
export function linesOf(rows: Row[], range: Range, step: number, value: string, by: string | null, shift = 0, stack = false, most?: number): Series {
  const times = bucketsOf(range, step, most);
  const first = times[0] ?? 0;
  const lines = new Map<string, (number | null)[]>();
  const seen = new Set<number>();
  for (const row of rows) {
    const at = Math.round((timeOf(row["t"]) + shift) / 1000 - first) / step;
    const index = Math.floor(at);
    if (!(index >= 0 && index < times.length)) continue;
    if (by && row[by] === null) {
      // Somebody looked, and nobody was there.
      seen.add(index);
      continue;
    }
    const label = by ? String(row[by] ?? "") || "(none)" : value;
    let line = lines.get(label);
    if (!line) lines.set(label, (line = new Array<number | null>(times.length).fill(null)));
    const figure = row[value];
    if (typeof figure === "number") line[index] = (line[index] ?? 0) + figure;
    seen.add(index);
  }
  if (stack) for (const line of lines.values()) for (const index of seen) line[index] ??= 0;
  const total = (line: (number | null)[]): number => line.reduce<number>((sum, each) => sum + (each ?? 0), 0);
  const sorted = [...lines].map(([label, values]) => ({ label, values, total: total(values) })).sort((a, b) => b.total - a.total || (a.label < b.label ? -1 : 1));
  return { times, lines: sorted.map(({ label, values }) => ({ label, values })) };
}

/** Keeps the largest lines and adds the rest up. */
export function largest(series: Series, most: number): Series {
  if (series.lines.length <= most) return series;
  const rest = series.lines.slice(most - 1);
  const values = series.times.map((_, at) => {
    const there = rest.map((line) => line.values[at]).filter((value) => value !== null && value !== undefined);
    return there.length > 0 ? there.reduce((sum, value) => sum + value, 0) : null;
  });
  return { times: series.times, lines: [...series.lines.slice(0, most - 1), { label: `${rest.length} others`, values }] };
}

/** Each line on top of those before it. */
export function stacked(lines: Line[]): (number | null)[][] {
  const sums: number[] = [];
  return lines.map((line) =>
    line.values.map((value, at) => {
      if (value === null) return null;
      return (sums[at] = (sums[at] ?? 0) + value);
    }),
  );
}
