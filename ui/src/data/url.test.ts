import fc from "fast-check";
import { expect, test } from "vitest";
import { carried, parseSearch, printSearch, timesOf } from "./url";

const now = Date.UTC(2026, 5, 1, 12);

test("an address that is printed is read again, unknown parameters too", () => {
  const words = fc.dictionary(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }));
  fc.assert(fc.property(words, (search) => {
    expect(parseSearch(printSearch(search))).toEqual({ ...search });
  }));
});

test("no address makes it throw, and each has a range", () => {
  const name = fc.constantFrom("from", "to", "vs", "at", "live", "x");
  fc.assert(fc.property(fc.dictionary(name, fc.string()), (search) => {
    const range = timesOf(search, now).resolve(now);
    return range.from < range.to && Number.isFinite(range.from);
  }));
});

test("what is bad is named and left out, the rest holds", () => {
  const times = timesOf({ from: "yesterday", to: "now", vs: "7d", live: "fast" }, now);
  expect(times.bad).toEqual([["from", "yesterday"], ["live", "fast"]]);
  expect([times.from, times.vs, times.isLive]).toEqual(["now-1h", "7d", true]);
  expect(timesOf({ from: "now", to: "now-1h" }, now).bad).toHaveLength(1);
});

test("a range that ends in the past is not live", () => {
  expect(timesOf({ to: "2026-05-01T00:00:00Z", from: "2026-04-30T00:00:00Z" }, now).isLive).toBe(false);
  expect(timesOf({ live: "off" }, now).isLive).toBe(false);
});

test("times go along from page to page, filters stay", () => {
  expect(carried({ from: "now-1d", q: "x", sort: "ms" })).toEqual({ from: "now-1d" });
});
