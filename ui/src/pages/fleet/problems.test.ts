import { expect, test } from "vitest";
import { problemsOf } from "./problems";

const row = (more: object) => ({ server_id: "1", server: "db1", up: true, max_connections: 100, backends: 10, ...more });

test("what is well is no problem, and what is not known is none", () => {
  expect(problemsOf([row({}), row({ wrap: null, lag: null, waiting: null, max_connections: null })])).toEqual([]);
});

test("the worst comes first, and says its number and its reason", () => {
  const found = problemsOf([
    row({ server: "b", waiting: 2 }),
    row({ server: "a", up: false, error: "connection refused" }),
    row({ server: "c", backends: 95, lag: 90 }),
  ]);
  expect(found.map((each) => [each.level, each.server])).toEqual([["bad", "a"], ["bad", "c"], ["warn", "b"], ["warn", "c"]]);
  expect(found[0]?.words).toContain("connection refused");
  expect(found[1]?.words).toBe("95 of 100 connections taken");
});
