import { expect, test } from "vitest";
import { newestLook, treesOf } from "./tree";

const wait = (pid: number, blocker: number, more: object = {}) => ({
  instance_id: "i", time: "2026-06-01T00:00:10Z", pid, blocker_pid: blocker, wait_age: 10, blocker_state: "idle in transaction", blocker_query: "update x", ...more,
});

test("a queue three deep has one root, which frees all of them", () => {
  const { trees, rings } = treesOf([wait(2, 1), wait(3, 2), wait(4, 3), wait(5, 1)]);
  expect(rings).toEqual([]);
  expect(trees).toHaveLength(1);
  expect([trees[0]?.root.pid, trees[0]?.frees, trees[0]?.waited]).toEqual([1, 4, 40]);
  expect(trees[0]?.root.holder?.state).toBe("idle in transaction");
  expect(trees[0]?.root.kids.map((kid) => kid.pid)).toEqual([2, 5]);
});

test("whoever frees most comes first, and pids of other instances are others", () => {
  const { trees } = treesOf([wait(2, 1), wait(12, 11), wait(13, 11), wait(2, 1, { instance_id: "j" })]);
  expect(trees.map((tree) => tree.frees)).toEqual([2, 1, 1]);
});

test("a ring ends nowhere, and harms nobody", () => {
  const { trees, rings } = treesOf([wait(1, 2), wait(2, 1), wait(3, 3)]);
  expect(trees).toEqual([]);
  expect(rings).toHaveLength(3);
});

test("only the newest look at each instance counts", () => {
  const rows = [wait(2, 1, { time: "2026-06-01T00:00:00Z" }), wait(3, 1), wait(4, 1, { instance_id: "j", time: "2026-06-01T00:00:05Z" })];
  expect(newestLook(rows).map((row) => row["pid"])).toEqual([3, 4]);
});
