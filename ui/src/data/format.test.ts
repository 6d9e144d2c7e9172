import fc from "fast-check";
import { expect, test } from "vitest";
import { change, figure, oneLine, percent, span, version } from "./format";

test("figures have the size that people read", () => {
  expect(figure(1536, "B")).toBe("1.5 KiB");
  expect(figure(1_234_567)).toBe("1.23 M");
  expect(figure(0.5, "ratio")).toBe("50 %");
  expect(figure(3.14159, "ms")).toBe("3.14 ms");
  expect(figure(90_061, "s")).toBe("1 d 1 h");
  expect(figure(999.9, "1/s")).toBe("1 k/s");
  expect(span(0.00002)).toBe("20 µs");
  expect(version(170_004)).toBe("17.4");
});

test("what is not there is a dash, never a zero", () => {
  for (const value of [null, undefined, NaN, Infinity, ""]) expect(figure(value, "ms")).toBe("–");
  expect(figure(0, "ms")).toBe("0 s");
  expect(version(null)).toBe("–");
});

test("every number has a text", () => {
  fc.assert(fc.property(fc.double(), fc.constantFrom("", "B", "s", "ms", "ratio", "1/s", "%"), (value, unit) => figure(value, unit).length > 0));
});

test("a change needs something to change from", () => {
  expect(change(100, 150)).toBe(50);
  expect(change(0, 5)).toBeNull();
  expect(change(null, 5)).toBeNull();
  expect(percent(-12.345)).toBe("−12.3 %");
});

test("a text of any length is one short line", () => {
  expect(oneLine("select 1\n  from\tt")).toBe("select 1 from t");
  expect(oneLine("x".repeat(1e6)).length).toBe(301);
});
