import fc from "fast-check";
import { expect, test } from "vitest";
import { otherPeriod, parseSpan, parseTime, printTime, shift, stepOf, zoom } from "./range";

const now = Date.UTC(2026, 5, 1, 12);
const times = fc.integer({ min: Date.UTC(2001, 0, 1), max: Date.UTC(2199, 0, 1) });

test("a time that is printed is read again", () => {
  fc.assert(fc.property(times, (at) => parseTime(printTime(at), now) === at));
});

test("whatever stands in an address is read or refused, and nothing throws", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const at = parseTime(text, now);
      return at === null || (Number.isFinite(at) && at > 0);
    }),
  );
  for (const text of ["", "now-", "now-1y", "now+1h", "yesterday", "-1", "1e99", "9999-99-99", "0001-01-01T00:00:00Z"])
    expect(parseTime(text, now), text).toBeNull();
});

test("relative times count back from now", () => {
  expect(parseTime("now", now)).toBe(now);
  expect(parseTime("now-90m", now)).toBe(now - 5_400_000);
  expect(parseTime(String(now), now)).toBe(now);
});

test("another period has the same length", () => {
  const range = { from: now - 3_600_000, to: now };
  expect(otherPeriod(range, "prev")).toEqual({ from: now - 7_200_000, to: now - 3_600_000 });
  expect(otherPeriod(range, "1d")).toEqual({ from: range.from - 86_400_000, to: range.to - 86_400_000 });
  for (const vs of ["", "0d", "last week", "1y"]) expect(otherPeriod(range, vs), vs).toBeNull();
  expect(parseSpan("7d")).toBe(604_800_000);
});

test("steps are of the ladder, never finer than what is measured or seen", () => {
  fc.assert(
    fc.property(fc.integer({ min: 60_000, max: 90 * 86_400_000 }), fc.integer({ min: 100, max: 4000 }), (length, width) => {
      const step = stepOf({ from: now - length, to: now }, width, 10);
      return step >= 10 && (step === 86_400 || length / 1000 / step <= Math.max(width / 2, 50));
    }),
  );
  expect(stepOf({ from: now - 3_600_000, to: now }, 1000, 60)).toBe(60);
});

test("shifting and zooming keep what they should", () => {
  const range = { from: now - 3_600_000, to: now };
  expect(shift(shift(range, 0.5), -0.5)).toEqual(range);
  expect(zoom(zoom(range, 2), 0.5)).toEqual(range);
  expect(zoom({ from: now, to: now + 1000 }, 0.5)).toEqual({ from: now - 29_500, to: now + 30_500 });
});
