import { expect, test } from "vitest";
import type { Row } from "../../data/rows";
import { deltaOf, fateOf, isLowerBound, matching, meanChange, meanOf } from "./figures";

test("a mean is of this period's runs, and none without runs", () => {
  expect(meanOf({ ms: 100, calls: 4 })).toBe(25);
  expect(meanOf({ ms: 0, calls: 0 })).toBeNull();
  expect(meanOf({ ms: null, calls: null })).toBeNull();
});

test("what is new or gone changes by all of its time", () => {
  expect([deltaOf({ ms: 50, calls: 1 }), fateOf({ ms: 50, calls: 1 })]).toEqual([50, "new"]);
  const gone = { ms: null, calls: null, ms_before: 70, calls_before: 2 };
  expect([deltaOf(gone), fateOf(gone)]).toEqual([-70, "gone"]);
  expect(meanChange({ ms: 30, calls: 1, ms_before: 20, calls_before: 1 })).toBe(50);
  expect(meanChange(gone)).toBeNull();
});

test("a sum with a counter that began anew is a lower bound", () => {
  expect(isLowerBound({ inexact: 1 })).toBe(true);
  expect(isLowerBound({ inexact: 0 })).toBe(false);
});

test("the filter takes all words, anywhere, as they are", () => {
  const rows: Row[] = [{ query: "SELECT 1 FROM orders", datname: "shop" }, { query: "select .*", datname: "x" }, { query: null, queryid: "-42" }];
  expect(matching(rows, "orders shop")).toHaveLength(1);
  expect(matching(rows, ".*")).toHaveLength(1);
  expect(matching(rows, "-42")).toHaveLength(1);
  expect(matching(rows, "  ")).toHaveLength(3);
});
