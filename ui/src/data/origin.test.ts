import { expect, test } from "vitest";
import type { Measurement } from "./catalog";
import { behind } from "./origin";

const column = (name: string, kind: "key" | "counter" | "gauge" | "info", type: "text" | "int" | "float" = "int") => ({ name, kind, type, unit: "", doc: "" });
const statements: Measurement = {
  name: "pg_stat_statements", title: "", doc: "", retention_seconds: 1, presence: "state",
  columns: [column("queryid", "key"), column("datname", "key", "text"), column("calls", "counter"), column('we"ird', "counter"), column("size", "gauge"), column("query", "info", "text")],
};
const events: Measurement = { name: "pg_event", title: "", doc: "", retention_seconds: 1, presence: "append", columns: [column("kind", "key", "text"), column("n", "counter")] };

test("the rows behind are those of the panel's own bounds; what a person typed stays a parameter", () => {
  const hostile = "'; drop table x; --";
  const all = behind(["pg_stat_statements"], [statements], { server: "s", from: "a", to: "b", datname: hostile, queryid: "-42", pattern: hostile });
  expect(all.map((each) => each.what)).toEqual(["read", "increases", "quality"]);
  for (const { query } of all) {
    expect(query.sql).toContain(`where server_id = $1 and time >= $2 and time < $3 and cast("queryid" as text) = $4 and "datname" = $5`);
    expect(query.params).toEqual(["s", "a", "b", "-42", hostile]);
    expect(query.sql).not.toContain(hostile);
    expect(query.max_rows).toBe(20);
  }
  expect(all[0]?.query.sql).toContain('"we""ird"');
  expect(all[0]?.query.sql).toMatch(/"size" from "pg_stat_statements" where/);
  expect(all[1]?.query.sql).toMatch(/delta_quality, .*"calls".* from "pg_stat_statements_delta" where/);
  expect(all[1]?.query.sql).not.toContain('"size"');
});

test("what only happens has no increases, what is not known is left out, and three measurements are enough", () => {
  expect(behind(["pg_event", "nothing"], [events], { from: "a" }).map((each) => each.query)).toEqual([
    { id: "pg_event read", sql: 'select time, server, "kind", "n" from "pg_event" where time >= $1 order by time desc limit 20', params: ["a"], max_rows: 20 },
  ]);
  expect(behind(["pg_stat_statements"], [statements], { server: "s" }).map(({ query }) => query.sql.split(" from ")[1])).toEqual(['"pg_stat_statements_latest" where server_id = $1 order by time desc limit 20']);
  const many = Array.from({ length: 8 }, (_, at) => ({ ...events, name: `m${at}` }));
  expect(behind(many.map((each) => each.name), many, {})).toHaveLength(3);
});
