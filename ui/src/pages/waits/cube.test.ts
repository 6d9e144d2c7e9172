import fc from "fast-check";
import { expect, test } from "vitest";
import { type Chip, DIMENSIONS, filtered, printChips, readChips, toggled, topOf } from "./cube";

const cells = [
  { t: "1", datname: "a", wait_class: "CPU", query_id: null, s: 3 },
  { t: "1", datname: "b", wait_class: "Lock", query_id: "1", s: 5 },
  { t: "2", datname: "b", wait_class: "IO", query_id: "2", s: 2 },
];

test("chips that are printed are read again, and nothing else is a chip", () => {
  const chip = fc.record({ dimension: fc.constantFrom(...DIMENSIONS.map(([id]) => id)), value: fc.string({ unit: "grapheme" }), isOut: fc.boolean() });
  fc.assert(fc.property(fc.array(chip, { maxLength: 5 }), (chips) => {
    expect(readChips(printChips(chips))).toEqual(chips);
  }));
  fc.assert(fc.property(fc.string(), (text) => Array.isArray(readChips(text))));
  expect(readChips("x:1,datname:%zz,datname")).toEqual([{ dimension: "datname", value: "", isOut: false }]);
});

test("values of one dimension are any of them, of several all, and what is out is out", () => {
  const chip = (dimension: string, value: string, isOut = false): Chip => ({ dimension, value, isOut });
  expect(filtered(cells, [chip("wait_class", "Lock"), chip("wait_class", "IO")])).toHaveLength(2);
  expect(filtered(cells, [chip("datname", "b"), chip("wait_class", "IO", true)])).toHaveLength(1);
  expect(filtered(cells, [])).toHaveLength(3);
  expect(toggled([chip("datname", "b")], chip("datname", "b", true))).toEqual([]);
});

test("the top of a dimension says its share of all", () => {
  expect(topOf(cells, "datname")).toEqual([{ value: "b", seconds: 7, share: 0.7 }, { value: "a", seconds: 3, share: 0.3 }]);
  expect(topOf([], "datname")).toEqual([]);
});
