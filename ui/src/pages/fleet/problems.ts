// What is wrong with a fleet, from its present: worst first.
import { figure } from "../../data/format";
import { type Row, numberIn, textIn } from "../../data/rows";

export interface Problem {
  level: "bad" | "warn";
  /** Larger is worse, among those of a level. */
  weight: number;
  serverId: string;
  server: string;
  words: string;
  page: string;
}

interface Check {
  level: Problem["level"];
  weight: number;
  page: string;
  when: (row: Row) => boolean;
  words: (row: Row) => string;
}

const part = (row: Row): number => (numberIn(row, "backends") ?? 0) / Math.max(numberIn(row, "max_connections") ?? Infinity, 1);
const inside = (value: number | null, from: number, below: number): boolean => value !== null && value >= from && value < below;
const count = (row: Row, name: string): number => numberIn(row, name) ?? 0;
const waiting = (row: Row): string => `${count(row, "waiting")} ${count(row, "waiting") === 1 ? "session waits" : "sessions wait"} for locks`;

/** Limits are those at which somebody has to act soon. */
const CHECKS: readonly Check[] = [
  { level: "bad", weight: 100, page: "overview", when: (row) => row["up"] === false, words: (row) => `does not answer: ${textIn(row, "error") || "no reason given"}` },
  { level: "bad", weight: 90, page: "overview", when: (row) => count(row, "wrap") >= 0.5, words: (row) => `transaction ids are ${figure(numberIn(row, "wrap"), "ratio")} used up; at 100 % it stops` },
  { level: "bad", weight: 80, page: "overview", when: (row) => part(row) >= 0.9, words: (row) => `${figure(numberIn(row, "backends"))} of ${figure(numberIn(row, "max_connections"))} connections taken` },
  { level: "bad", weight: 70, page: "activity", when: (row) => count(row, "waiting") >= 5, words: waiting },
  { level: "warn", weight: 60, page: "activity", when: (row) => inside(numberIn(row, "waiting"), 1, 5), words: waiting },
  { level: "warn", weight: 50, page: "overview", when: (row) => count(row, "lag") >= 60, words: (row) => `standby is ${figure(numberIn(row, "lag"), "s")} behind` },
  { level: "warn", weight: 40, page: "overview", when: (row) => inside(part(row), 0.75, 0.9), words: (row) => `${figure(part(row), "ratio")} of the connections taken` },
  { level: "warn", weight: 30, page: "overview", when: (row) => count(row, "freeze") >= 1, words: (row) => `a database is older than autovacuum_freeze_max_age (${figure(numberIn(row, "freeze"), "ratio")})` },
  { level: "warn", weight: 20, page: "overview", when: (row) => count(row, "failing") > 0, words: (row) => `${count(row, "failing")} measurements fail` },
  { level: "warn", weight: 10, page: "overview", when: (row) => count(row, "pending_restart") > 0, words: (row) => `${count(row, "pending_restart")} settings wait for a restart` },
];

export function problemsOf(rows: Row[]): Problem[] {
  const found = rows.flatMap((row) =>
    CHECKS.filter((check) => check.when(row)).map((check): Problem => ({
      level: check.level,
      weight: check.weight,
      serverId: textIn(row, "server_id"),
      server: textIn(row, "server"),
      words: check.words(row),
      page: check.page,
    })),
  );
  const rank = (problem: Problem): number => (problem.level === "bad" ? 1000 : 0) + problem.weight;
  return found.sort((a, b) => rank(b) - rank(a) || (a.server < b.server ? -1 : 1));
}
