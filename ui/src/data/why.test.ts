import { expect, test } from "vitest";
import { reasonOf, wordsFor } from "./why";

const row = (measurement: string, status: string, error = "") => ({ measurement, status, error, sources: 1, time: "2026-06-01T00:00:00Z" });

test("a panel is empty because there was nothing, where all was looked at", () => {
  const reason = reasonOf(["pg_blocking"], [row("pg_blocking", "ok")]);
  expect(reason).toEqual({ kind: "zero" });
  expect(wordsFor(reason, "No session waited for a lock.")).toBe("No session waited for a lock.");
});

test("what was not collected says why in the agent's words", () => {
  const why = [row("pg_stat_io", "unsupported", "PostgreSQL 15 has no pg_stat_io"), row("pg_up", "ok")];
  expect(wordsFor(reasonOf(["pg_up", "pg_stat_io"], why), "-")).toContain("PostgreSQL 15 has no pg_stat_io");
  expect(reasonOf(["pg_bloat_table_exact"], why).kind).toBe("missing");
});

test("one source that works is enough, and before the first scrape nothing is claimed", () => {
  expect(reasonOf(["pg_vacuum_need"], [row("pg_vacuum_need", "unsupported", "standby"), row("pg_vacuum_need", "ok")]).kind).toBe("zero");
  expect(reasonOf(["pg_up"], []).kind).toBe("zero");
});
