import { expect, test } from "vitest";
import { isTight } from "./host/Host";
import { unfolded } from "./Several";
import { patternOf } from "../data/pattern";
import { grownOf, hotOf } from "./tables/Tables";
import { daysLeft, secondsLeft } from "./vacuum/Vacuum";

test("a forecast is made only of what comes nearer", () => {
  expect(daysLeft({ ratio: 0.5, ratio_a_day: 0.1 })).toBe(5);
  expect(daysLeft({ ratio: 0.5, ratio_a_day: 0 })).toBeNull();
  expect(daysLeft({ ratio: 1.5, ratio_a_day: 0.1 })).toBe(0);
  expect(secondsLeft({ a_second: 10, left_to_do: 100 })).toBe(10);
  expect(secondsLeft({ a_second: null, left_to_do: 100 })).toBeNull();
});

test("a word is a pattern for itself", () => {
  expect(patternOf("100%_\\")).toBe("%100\\%\\_\\\\%");
});

test("shares and growth need both of their figures", () => {
  expect(hotOf({ hot: 3, upd: 4 })).toBe(0.75);
  expect(hotOf({ hot: 0, upd: 0 })).toBeNull();
  expect(grownOf({ total_size: 10, was: 4 })).toBe(6);
  expect(grownOf({ total_size: 10, was: null })).toBeNull();
});

test("a file system is tight when little is left of it, or little time", () => {
  expect(isTight({ size: 100, available: 50, seconds_to_full: null })).toBe(false);
  expect(isTight({ size: 100, available: 9, seconds_to_full: null })).toBe(true);
  expect(isTight({ size: 100, available: 50, seconds_to_full: 3600 })).toBe(true);
  expect(isTight({ size: null, available: null, seconds_to_full: null })).toBe(false);
});

test("columns become lines, and what is not there stays so", () => {
  expect(unfolded([{ t: "1", a: 1, b: null }], { a: "A", b: "B" })).toEqual([{ t: "1", line: "A", value: 1 }, { t: "1", line: "B", value: null }]);
});
