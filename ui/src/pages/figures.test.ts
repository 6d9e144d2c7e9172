import { expect, test } from "vitest";
import { isTight } from "./host/Host";
import { unfolded } from "./Several";
import { patternOf } from "../data/pattern";
import { grownOf, hotOf } from "./tables/Tables";
import { daysLeft, secondsLeft } from "./vacuum/Vacuum";
import { frozenAddress } from "../components/PanelMenu";
import { markdown } from "../components/take";
import { isWebAddress } from "../data/annotations";
import { isStale } from "./backups/stale";
import { stateOf } from "./collectors/state";
import { isChanged, withUnit } from "./config/Config";
import { isExhausted } from "./pooler/Pooler";
import { dropSlot } from "./replication/Wal";
import { clustersOf } from "./server/clusters";

test("a forecast is made only of what comes nearer", () => {
  expect(daysLeft({ ratio: 0.5, ratio_a_day: 0.1 })).toBe(5);
  expect(daysLeft({ ratio: 0.5, ratio_a_day: 0 })).toBeNull();
  expect(daysLeft({ ratio: 1.5, ratio_a_day: 0.1 })).toBe(0);
  expect(secondsLeft({ a_second: 10, left_to_do: 100 })).toBe(10);
  expect(secondsLeft({ a_second: null, left_to_do: 100 })).toBeNull();
});

test("a word is a pattern for itself", () => {
  expect(patternOf("100%_\\")).toBe("%100\\%\\_\\\\%");
});

test("shares and growth need both of their figures", () => {
  expect(hotOf({ hot: 3, upd: 4 })).toBe(0.75);
  expect(hotOf({ hot: 0, upd: 0 })).toBeNull();
  expect(grownOf({ total_size: 10, was: 4 })).toBe(6);
  expect(grownOf({ total_size: 10, was: null })).toBeNull();
});

test("a file system is tight when little is left of it, or little time", () => {
  expect(isTight({ size: 100, available: 50, seconds_to_full: null })).toBe(false);
  expect(isTight({ size: 100, available: 9, seconds_to_full: null })).toBe(true);
  expect(isTight({ size: 100, available: 50, seconds_to_full: 3600 })).toBe(true);
  expect(isTight({ size: null, available: null, seconds_to_full: null })).toBe(false);
});

test("columns become lines, and what is not there stays so", () => {
  expect(unfolded([{ t: "1", a: 1, b: null }], { a: "A", b: "B" })).toEqual([{ t: "1", line: "A", value: 1 }, { t: "1", line: "B", value: null }]);
});

test("a setting has its unit, and what an agent's own session asked for is nobody's change", () => {
  expect(withUnit({ setting: "16384", unit: "8kB" })).toBe("16384 × 8kB");
  expect(withUnit({ setting: "15", unit: "s" })).toBe("15 s");
  expect(withUnit({ setting: "on", unit: null })).toBe("on");
  expect(isChanged({ source: "client", pending_restart: false })).toBe(false);
  expect(isChanged({ source: "default", pending_restart: true })).toBe(true);
  expect(isChanged({ source: "configuration file", pending_restart: null })).toBe(true);
});

test("a pool is exhausted where clients wait and all its servers are taken", () => {
  expect(isExhausted({ cl_waiting: 2, sv_active: 1, pool_size: 1 })).toBe(true);
  expect(isExhausted({ cl_waiting: 2, sv_active: 1, pool_size: 5 })).toBe(false);
  expect(isExhausted({ cl_waiting: 0, sv_active: 1, pool_size: 1 })).toBe(false);
  expect(isExhausted({ cl_waiting: 2, sv_active: 1, pool_size: null })).toBe(false);
});

test("a slot's name stays a name in the statement that drops it", () => {
  expect(dropSlot({ slot_name: "o'clock" })).toBe("select pg_drop_replication_slot('o''clock');");
});

test("a backup is stale after two days, and where there is none", () => {
  const now = Date.UTC(2026, 0, 10);
  expect(isStale({ last_backup: "2026-01-09T00:00:00" }, now)).toBe(false);
  expect(isStale({ last_backup: "2026-01-07T00:00:00" }, now)).toBe(true);
  expect(isStale({ last_backup: null }, now)).toBe(true);
});

test("an agent is what was last heard of it", () => {
  const record = { id: "a", name: "a", hostname: "h", version: "1", status: "active" as const, registered_at: "2026-01-01T00:00:00Z", last_seen: "2026-01-01T00:00:00Z", revoked: false };
  const now = Date.UTC(2026, 0, 1, 0, 1);
  expect(stateOf(record, undefined, [], now)).toBe("reporting");
  expect(stateOf(record, undefined, [], now + 600_000)).toBe("silent");
  expect(stateOf({ ...record, revoked: true }, undefined, [], now)).toBe("revoked");
  expect(stateOf({ ...record, last_seen: null }, undefined, [], now)).toBe("never reported");
  expect(stateOf(undefined, { time: "2026-01-01T00:00:30" }, [], now)).toBe("in this server");
});

test("events and notes that lie close are one mark; what is outside stands at the edge", () => {
  const range = { from: 0, to: 100_000 };
  const one = (at: number, words: string) => ({ at, letter: "N", isBad: false, words, about: "" });
  const found = clustersOf([one(-5, "before"), one(50_000, "a"), one(50_500, "b"), one(60_000, "c"), one(200_000, "late")], range);
  expect(found.map(({ at, all }) => [at, all.map((each) => each.words).join()])).toEqual([[0, "before"], [50_000, "a,b"], [60_000, "c"], [100_000, "late"]]);
});

test("only addresses of the web become links", () => {
  expect(["https://a", "HTTP://a", "javascript:alert(1)", "data:text/html,x", " https://a", null].map((url) => isWebAddress(url))).toEqual([true, true, false, false, false, false]);
});

test("a Markdown table holds whatever is in it", () => {
  const answer = { columns: [{ name: "q", type: "text" }, { name: "ms", type: "double precision" }, { name: "t", type: "timestamp" }], rows: [["a|b\n`c` <img>", 1500, "2026-01-01T00:00:00"], [null, null, null]], truncated: false, elapsed_ms: 1, token: "" };
  expect(markdown("Top | ten", "https://x/", answer, { ms: "ms" })).toBe(
    ["**Top \\| ten**", "", "| q | ms | t |", "|---|---|---|", "| a\\|b \\`c\\` \\<img\\> | 1.5 s | 2026-01-01T00:00:00Z |", "| – | – | – |", "", "https://x/", ""].join("\n"),
  );
});

test("a link to this time has it written out, and keeps what else is there", () => {
  expect(frozenAddress("https://x/s/a.1/waits?by=query_id&from=now-1h", { asked: { from: 0, to: 3_600_000 } })).toBe("https://x/s/a.1/waits?by=query_id&from=1970-01-01T00%3A00%3A00Z&to=1970-01-01T01%3A00%3A00Z");
});
