import { expect, test } from "vitest";
import { patternOf } from "./logs/Logs";
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
