import { expect, test } from "vitest";
import type { ServerInfo } from "./api";
import { findServer, slugOf } from "./servers";

const server = (id: string, name: string): ServerInfo => ({
  id, name, state: "reporting", first_seen: "", last_seen: "", instances: [], databases: [], collectors: [],
});
const one = server("98f6d0e9-9ee0-57e2-9fdf-5ad297ddc0ba", "127.0.0.1:25295");
const two = server("98f6d0e9-0000-57e2-9fdf-5ad297ddc0ba", "db2");

test("a server is found by its id, whatever its name was", () => {
  expect(findServer([one], slugOf(one))).toEqual({ server: one });
  expect(findServer([one], "older-name.98f6d0e9")).toEqual({ server: one });
});

test("ids that begin alike are told apart by name, or there is a choice", () => {
  expect(findServer([one, two], slugOf(two))).toEqual({ server: two });
  expect(findServer([one, two], "other.98f6d0e9")).toEqual({ several: [one, two] });
});

test("what is no server is none", () => {
  for (const slug of ["", ".", "x", "x.1234", "x.98f6d0e", "<img>.98f6d0eg"]) expect(findServer([one], slug), slug).toBeNull();
});

test("a hostile name makes a harmless address", () => {
  expect(slugOf({ ...one, name: '<img src=x onerror=alert(1)>/../"' })).toBe("img-src-x-onerror-alert-1.98f6d0e9");
  expect(slugOf({ ...one, name: "\u202edb" })).toBe("db.98f6d0e9");
});
