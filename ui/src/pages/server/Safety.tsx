import type { ReactNode } from "react";
import { To } from "../../components/To";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { type Row, numberIn } from "../../data/rows";
import { slugOf } from "../../data/servers";

interface Item {
  title: string;
  column: string;
  unit: string;
  /** From where on it is bad, and worth a look. */
  bad: number;
  warn: number;
  about: string;
  page?: string;
}

const ITEMS: readonly Item[] = [
  { title: "Waiting for locks", column: "waiting", unit: "", bad: 5, warn: 1, about: "Sessions at the last look", page: "activity" },
  { title: "Freeze", column: "freeze", unit: "ratio", bad: 2, warn: 1, about: "Oldest database, of autovacuum_freeze_max_age" },
  { title: "Transaction ids used", column: "wraparound", unit: "ratio", bad: 0.5, warn: 0.25, about: "Of two billion; at 100 % the server stops" },
  { title: "Replicas", column: "replicas", unit: "", bad: Infinity, warn: Infinity, about: "Connected now" },
  { title: "Replica behind", column: "replica_lag_bytes", unit: "B", bad: 2 ** 30, warn: 2 ** 26, about: "Bytes not replayed, the worst" },
  { title: "Standby delay", column: "standby_delay", unit: "s", bad: 600, warn: 60, about: "The worst standby; 0 where all is replayed" },
  { title: "Idle slots", column: "idle_slots", unit: "", bad: Infinity, warn: 1, about: "Slots without a consumer keep WAL for ever" },
  { title: "WAL kept by slots", column: "slot_bytes", unit: "B", bad: 2 ** 34, warn: 2 ** 30, about: "The worst slot" },
  { title: "Failing archivers", column: "archivers_failing", unit: "", bad: 1, warn: 1, about: "Instances whose last attempt failed" },
  { title: "Wait for restart", column: "pending_restart", unit: "", bad: Infinity, warn: 1, about: "Settings" },
];

/** What could end badly, each as its worst figure. */
export function Safety({ row, server }: { row: Row | undefined; server: ServerInfo }): ReactNode {
  return (
    <dl className="facts">
      {ITEMS.map(({ title, column, unit, bad, warn, about, page }) => {
        const value = numberIn(row, column);
        const level = value === null ? "" : value >= bad ? "bad" : value >= warn ? "warn" : "";
        const words = `${level === "bad" ? "✕ " : level === "warn" ? "! " : ""}${figure(value, unit)}`;
        return (
          <div key={column} title={about}>
            <dt>{title}</dt>
            <dd className={level}>{page ? <To path={`/s/${slugOf(server)}/${page}`}>{words}</To> : words}</dd>
          </div>
        );
      })}
    </dl>
  );
}
