import { expect, test } from "vitest";
import { bucketsOf, largest, linesOf, stacked } from "./series";

const range = { from: 600_000, to: 1_200_000 };
const at = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, -1);

test("a bucket that nobody saw is a gap, not a zero", () => {
  const { times, lines } = linesOf([{ t: at(600), v: 1 }, { t: at(720), v: 3 }], range, 60, "v", null);
  expect(times).toHaveLength(10);
  expect(lines[0]?.values.slice(0, 4)).toEqual([1, null, 3, null]);
});

test("in a stack, who is not there is zero where others are, and a gap where nobody is", () => {
  const rows = [{ t: at(600), v: 1, who: "a" }, { t: at(660), v: 2, who: "b" }];
  const { lines } = linesOf(rows, range, 60, "v", "who", 0, true);
  expect(lines.map((line) => [line.label, line.values.slice(0, 3)])).toEqual([["b", [0, 2, null]], ["a", [1, 0, null]]]);
  expect(stacked(lines).map((line) => line.slice(0, 3))).toEqual([[0, 2, null], [1, 2, null]]);
});

test("where somebody looked and nobody was there, a stack is at zero", () => {
  const rows = [{ t: at(600), v: 1, who: "a" }, { t: at(660), v: 0, who: null }];
  expect(linesOf(rows, range, 60, "v", "who", 0, true).lines.map((line) => line.values.slice(0, 3))).toEqual([[1, 0, null]]);
});

test("another period lies on the buckets of this one", () => {
  const { lines } = linesOf([{ t: at(0), v: 7 }], range, 60, "v", null, 600_000);
  expect(lines[0]?.values[0]).toBe(7);
});

test("rows outside of the range, and values that are none, draw nothing", () => {
  const { lines } = linesOf([{ t: at(5), v: 1 }, { t: "never", v: 1 }, { t: at(660), v: null }], range, 60, "v", null);
  expect(lines.flatMap((line) => line.values).every((value) => value === null)).toBe(true);
});

test("of many lines the largest stay and the rest is one", () => {
  const rows = Array.from({ length: 12 }, (_, n) => ({ t: at(600), v: n + 1, who: String(n) }));
  const { lines } = largest(linesOf(rows, range, 60, "v", "who"), 4);
  expect(lines.map((line) => line.label)).toEqual(["11", "10", "9", "9 others"]);
  expect(lines[3]?.values[0]).toBe(45);
  expect(bucketsOf({ from: 0, to: 1e15 }, 1).length).toBeLessThanOrEqual(20_000);
});
