import { expect, test } from "vitest";
import type { Measurement } from "../../data/catalog";
import { chartSql, figuresOf, groupsOf, rowsSql } from "./sql";

const column = (name: string, kind: string, type: string) => ({ name, kind, type, unit: "", doc: "" });
const measurement = {
  name: 'odd"name', title: "", doc: "", retention_seconds: 1, presence: "state",
  columns: [column("who", "key", "text"), column("n", "counter", "int"), column("g", "gauge", "float"), column("at", "info", "timestamp")],
} as unknown as Measurement;

test("counters are drawn as rates of their increases, gauges as their mean", () => {
  const [n, g] = figuresOf(measurement);
  if (!n || !g) throw new Error("no figures");
  const counter = chartSql({ measurement, figure: n, by: "who", hasServer: true }, 60);
  expect(counter).toContain('sum("n") / 60.0');
  expect(counter).toContain('from "odd""name_delta"');
  expect(counter).toContain("server_id = $3");
  expect(chartSql({ measurement, figure: g, by: null, hasServer: false }, 60)).toContain('avg("g")');
});

test("names are quoted whatever they are, and events have no increases", () => {
  expect(rowsSql(measurement, false)).toContain('from "odd""name_latest"');
  expect(figuresOf({ ...measurement, presence: "append" }).map((each) => each.name)).toEqual(["g"]);
  expect(groupsOf(measurement).map((each) => each.name)).toEqual(["who"]);
});
