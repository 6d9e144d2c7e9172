import { expect, test } from "vitest";
import { catalogue } from "./catalogue";
import { expand, parseQuery, written } from "./queryText";

const values = {
  server: "s",
  from: "f",
  to: "t",
  before_from: "bf",
  before_to: "bt",
  queryid: "'; drop table x; --",
  instance: "i",
  other: "o",
  severity: "LOG",
  pattern: "%",
  collector: "c",
  datname: "d",
  relid: "1",
  schemaname: "n",
  relname: "r",
};

test("every query of the catalogue is written out wholly", () => {
  expect(catalogue.size).toBeGreaterThanOrEqual(94);
  for (const query of catalogue.values()) {
    const { sql, params } = expand(query, { values, step: 60 });
    expect(sql, query.name).not.toMatch(/[{}]/);
    expect(written(query, "{n}").replaceAll("{n}", "60"), query.name).toBe(sql);
    expect(sql, query.name).not.toContain("drop table");
    expect(params, query.name).toHaveLength(query.params.length);
    for (const [, number] of sql.matchAll(/\$(\d+)/g)) expect(Number(number), query.name).toBeLessThanOrEqual(params.length);
    expect(query.needs.length, query.name).toBeGreaterThan(0);
  }
});

test("the head of a file is read, with lines that go on", () => {
  const query = parseQuery("x", "-- Title\n-- needs: a b\n-- params: server\n-- columns: t v:ms\n--   w:B\nselect 1\nfrom a where {S}\n");
  expect(query.title).toBe("Title");
  expect(query.units).toEqual({ v: "ms", w: "B" });
  expect(expand(query, { values: { server: "s" }, step: 10 })).toEqual({ sql: "select 1\nfrom a where server_id = $1", params: ["s"] });
});

test("a value that is missing is an error, not an empty text", () => {
  const query = parseQuery("x", "-- T\n-- params: server\nselect {server}");
  expect(() => expand(query, { values: {}, step: 60 })).toThrow("no value for server");
});
