import { expect, test } from "vitest";
import { placeOf, readParams, shapeOf } from "./result";

const answer = (types: string[], rows: number) => ({
  columns: types.map((type, at) => ({ name: `c${at}`, type })), rows: Array.from({ length: rows }, () => types.map(() => 1)), truncated: false, elapsed_ms: 1, token: "",
});

test("rows with a time and figures can be drawn, others are a table", () => {
  expect(shapeOf(answer(["timestamp", "bigint", "double precision"], 5))).toEqual({ time: 0, figures: [1, 2], by: -1 });
  expect(shapeOf(answer(["text", "timestamptz", "bigint"], 5))).toEqual({ time: 1, figures: [2], by: 0 });
  for (const types of [["bigint"], ["timestamp", "text"], ["timestamp", "text", "text", "bigint"]]) expect(shapeOf(answer(types, 5))).toBeNull();
  expect(shapeOf(answer(["timestamp", "bigint"], 1))).toBeNull();
});

test("parameters are an array of plain values, or nothing", () => {
  expect(readParams('["a",1,null,true]')).toEqual(["a", 1, null, true]);
  expect(readParams("")).toEqual([]);
  for (const text of ["{", "1", '{"a":1}', "[[1]]"]) expect(readParams(text), text).toBeNull();
});

test("an error that says where it is is found in the text", () => {
  expect(placeOf("syntax error at Line: 2, Column: 3", "select\nx y")).toEqual({ line: 2, column: 3, from: 9 });
  expect(placeOf("no such table", "select")).toBeNull();
  expect(placeOf("Line: 9, Column: 1", "select")).toBeNull();
});
