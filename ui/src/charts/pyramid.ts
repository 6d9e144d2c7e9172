// Lines with more points than there are pixels, drawn without losing a peak: each level of a
// pyramid keeps the least and the most of four times as many points as the one below, in the
// order in which they came.
import type { Line, Series } from "../data/series";

/** Points of one bucket of a level over those of the level below. */
const FACTOR = 4;
/** A line of so many points is drawn as it is. */
export const FEW = 4096;
/** The highest level has no more: any chart has room for them. */
const TOP = 512;
/** Most points that are drawn in a pixel, of each line. */
const A_PIXEL = 4;

interface Level {
  /** Points of the series in a bucket. */
  size: number;
  times: Float64Array;
  /** Of each line its least and its most of each bucket, the earlier one first; NaN: nothing. */
  lines: Float64Array[];
}

export interface Pyramid {
  series: Series;
  levels: Level[];
}

/** The least and the most of values, as they came. */
function extremes(from: ArrayLike<number>, start: number, end: number, into: Float64Array, at: number): void {
  let [low, high] = [-1, -1];
  for (let place = start; place < end; place += 1) {
    const value = from[place] as number;
    if (Number.isNaN(value)) continue;
    if (low < 0 || value < (from[low] as number)) low = place;
    if (high < 0 || value > (from[high] as number)) high = place;
  }
  into[at] = low < 0 ? NaN : (from[Math.min(low, high)] as number);
  into[at + 1] = low < 0 ? NaN : (from[Math.max(low, high)] as number);
}

/** The values of a line; NaN where there is none. */
function numbers(values: readonly (number | null)[]): Float64Array {
  const all = new Float64Array(values.length);
  for (let at = 0; at < values.length; at += 1) all[at] = values[at] ?? NaN;
  return all;
}

/** Builds it once for a series; of a short one there is nothing to build. */
export function pyramidOf(series: Series): Pyramid {
  const levels: Level[] = [];
  const count = series.times.length;
  if (count <= FEW) return { series, levels };
  // A bucket of 4 has 2 points, so the first level reads 4 of the series and the others 8 of the level below.
  let below: { times: ArrayLike<number>; lines: ArrayLike<number>[] } = {
    times: series.times,
    lines: series.lines.map((line) => numbers(line.values)),
  };
  for (let [size, read] = [FACTOR, FACTOR]; below.times.length > TOP; [size, read] = [size * FACTOR, FACTOR * 2]) {
    const buckets = Math.ceil(below.times.length / read);
    const level: Level = { size, times: new Float64Array(buckets * 2), lines: below.lines.map(() => new Float64Array(buckets * 2)) };
    for (let bucket = 0; bucket < buckets; bucket += 1) {
      const [start, end] = [bucket * read, Math.min((bucket + 1) * read, below.times.length)];
      level.times[bucket * 2] = below.times[start] as number;
      level.times[bucket * 2 + 1] = below.times[end - 1] as number;
      below.lines.forEach((line, place) => extremes(line, start, end, level.lines[place] as Float64Array, bucket * 2));
    }
    levels.push(level);
    below = level;
  }
  return { series, levels };
}

/** The first place whose time is not before `time`. */
function placeOf(times: ArrayLike<number>, time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A series of the part from `from` to `to` (seconds) that a plot of `pixels` shows all of. */
export function viewOf({ series, levels }: Pyramid, from: number, to: number, pixels: number): Series {
  const most = Math.max(1, pixels) * A_PIXEL;
  // One point on each side, so that lines go to the edges.
  const part = (times: ArrayLike<number>, pair: number): [number, number] => [
    Math.max(0, Math.floor((placeOf(times, from) - 1) / pair) * pair),
    Math.min(times.length, Math.ceil((placeOf(times, to) + 1) / pair) * pair),
  ];
  const [start, end] = part(series.times, 1);
  if (end - start <= most || levels.length === 0) {
    return { times: series.times.slice(start, end), lines: series.lines.map(({ label, values }) => ({ label, values: values.slice(start, end) })) };
  }
  const fits = levels.find(({ times }) => { const [one, two] = part(times, 2); return two - one <= most; }) ?? (levels.at(-1) as Level);
  const [one, two] = part(fits.times, 2);
  const line = (label: string, values: Float64Array): Line => ({ label, values: Array.from(values.subarray(one, two), (value) => (Number.isNaN(value) ? null : value)) });
  return {
    times: Array.from(fits.times.subarray(one, two)),
    lines: series.lines.map(({ label }, place) => line(label, fits.lines[place] as Float64Array)),
  };
}
