import { expect, test } from "vitest";
import { dropOf, verdictsOf } from "./indexes";

const index = (name: string, more: object = {}) => ({
  database_name: "d", schemaname: "s", relname: "t", indexrelname: name, amname: "btree", indkey: "1 2", indisvalid: true, indisunique: false, indisconstraint: false, indispartial: false, scans: 5, ...more,
});
const verdicts = (rows: ReturnType<typeof index>[]) => Object.fromEntries([...verdictsOf(rows)].map(([row, verdict]) => [row["indexrelname"], verdict]));

test("an index that nobody read is unused, unless something needs it", () => {
  expect(verdicts([index("a", { scans: 0 }), index("b", { scans: 0, indkey: "3", indisunique: true }), index("c", { indkey: "4", indisvalid: false, scans: 0 })])).toEqual({ a: "unused", b: "used", c: "invalid" });
});

test("of two on the same columns one is a duplicate, and never the one that a constraint needs", () => {
  expect(verdicts([index("a"), index("z", { indisconstraint: true })])).toEqual({ a: "duplicate", z: "used" });
  expect(verdicts([index("a"), index("b", { relname: "u" }), index("c", { amname: "hash" })])).toEqual({ a: "used", b: "used", c: "used" });
});

test("what is partial, or on an expression, is no duplicate", () => {
  expect(verdicts([index("a", { indispartial: true }), index("b", { indispartial: true }), index("c", { indkey: "0" }), index("d", { indkey: "0" })])).toEqual({ a: "used", b: "used", c: "used", d: "used" });
});

test("a name is quoted whatever it is", () => {
  expect(dropOf(index('a"; drop table x; --'))).toBe('drop index concurrently "s"."a""; drop table x; --";');
});
