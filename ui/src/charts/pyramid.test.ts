import fc from "fast-check";
import { expect, test } from "vitest";
import type { Series } from "../data/series";
import { FEW, pyramidOf, viewOf } from "./pyramid";

/** Points of one second each; every so many are missing. */
function made(count: number, seed: number, missing: number): Series {
  let state = seed;
  const random = (): number => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  const values = Array.from({ length: count }, (_, at) => (missing > 0 && at % missing === 0 ? null : random() * 1000 - 300));
  return { times: Array.from({ length: count }, (_, at) => at), lines: [{ label: "a", values }, { label: "b", values: [...values].reverse() }] };
}

const ends = (values: readonly (number | null)[]): [number, number] => {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
};

test("at every zoom all is drawn in four points a pixel at most, and no peak is lost", () => {
  const series = made(100_000, 7, 11);
  const pyramid = pyramidOf(series);
  fc.assert(
    fc.property(fc.nat(99_999), fc.nat(99_999), fc.integer({ min: 300, max: 1600 }), (one, two, pixels) => {
      const [from, to] = [Math.min(one, two), Math.max(one, two) + 1];
      const view = viewOf(pyramid, from, to, pixels);
      expect(view.times.length).toBeLessThanOrEqual(pixels * 4);
      expect(view.times.every((time, at) => at === 0 || time >= (view.times[at - 1] ?? 0))).toBe(true);
      view.lines.forEach((line, place) => {
        const [low, high] = ends(series.lines[place]?.values.slice(from, to + 1) ?? []);
        const [seenLow, seenHigh] = ends(line.values);
        expect(seenLow).toBeLessThanOrEqual(low);
        expect(seenHigh).toBeGreaterThanOrEqual(high);
        // What is drawn was measured, at the edges or within.
        const [first, last] = [view.times[0] ?? 0, view.times.at(-1) ?? 0];
        const near = ends(series.lines[place]?.values.slice(first, last + 1) ?? []);
        expect([seenLow, seenHigh]).toEqual(near);
      });
    }),
    { numRuns: 60 },
  );
});

test("a peak in a million points is in the view of the whole, and near its place", () => {
  const series = made(1_000_000, 3, 0);
  (series.lines[0]?.values as number[])[654_321] = 1e9;
  const view = viewOf(pyramidOf(series), 0, 1_000_000, 1200);
  const at = view.lines[0]?.values.indexOf(1e9) ?? -1;
  expect(Math.abs((view.times[at] ?? 0) - 654_321)).toBeLessThan(1_000_000 / 300);
});

test("what was not measured stays a gap where it is wide enough to be seen", () => {
  const series = made(100_000, 5, 0);
  for (let at = 40_000; at < 60_000; at += 1) (series.lines[0]?.values as (number | null)[])[at] = null;
  const view = viewOf(pyramidOf(series), 0, 100_000, 500);
  const within = view.times.flatMap((time, at) => (time > 40_500 && time < 59_500 ? [view.lines[0]?.values[at]] : []));
  expect(within.length).toBeGreaterThan(10);
  expect(within.every((value) => value === null)).toBe(true);
});

test("a short series is itself", () => {
  const series = made(FEW, 1, 3);
  const pyramid = pyramidOf(series);
  expect(pyramid.levels).toEqual([]);
  expect(viewOf(pyramid, 0, FEW, 1600)).toEqual(series);
  expect(viewOf(pyramid, 10, 12, 1600).times).toEqual([9, 10, 11, 12]);
});
