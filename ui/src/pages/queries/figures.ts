// Figures of statements, from the sums of the catalogue.
import { change } from "../../data/format";
import { type Row, numberIn } from "../../data/rows";

export const meanOf = (row: Row): number | null => {
  const [ms, calls] = [numberIn(row, "ms"), numberIn(row, "calls")];
  return ms !== null && calls ? ms / calls : null;
};

export interface Metric {
  id: string;
  title: string;
  unit: string;
  about: string;
  value: (row: Row) => number | null;
}

const plain = (name: string) => (row: Row): number | null => numberIn(row, name);

/** What statements can be ranked by. */
export const METRICS: readonly Metric[] = [
  { id: "ms", title: "Time", unit: "ms", about: "Time of all runs together", value: plain("ms") },
  { id: "calls", title: "Calls", unit: "", about: "Runs that ended", value: plain("calls") },
  { id: "mean", title: "Mean", unit: "ms", about: "Time of a run", value: meanOf },
  { id: "rows", title: "Rows", unit: "", about: "Rows returned or changed", value: plain("rows") },
  { id: "read", title: "Blocks read", unit: "", about: "From outside of shared buffers", value: plain("read") },
  { id: "hit", title: "Blocks hit", unit: "", about: "Found in shared buffers", value: plain("hit") },
  { id: "temp", title: "Temp blocks", unit: "", about: "Written to temporary files", value: plain("temp") },
  { id: "wal", title: "WAL", unit: "B", about: "WAL written", value: plain("wal") },
  { id: "io_ms", title: "IO time", unit: "ms", about: "Needs track_io_timing", value: plain("io_ms") },
];

/** Change of time against the other period, in ms; what is new or gone changes by all of it. */
export function deltaOf(row: Row): number {
  return (numberIn(row, "ms") ?? 0) - (numberIn(row, "ms_before") ?? 0);
}

export type Fate = "new" | "gone" | "both";

export function fateOf(row: Row): Fate {
  if (numberIn(row, "calls_before") === null) return "new";
  return numberIn(row, "calls") === null ? "gone" : "both";
}

/** Change of the mean in percent; null where one of them is not known. */
export function meanChange(row: Row): number | null {
  const [ms, calls] = [numberIn(row, "ms_before"), numberIn(row, "calls_before")];
  return change(ms !== null && calls ? ms / calls : null, meanOf(row));
}

/** Whether a sum may be more than it says: a counter began anew in between. */
export const isLowerBound = (row: Row): boolean => (numberIn(row, "inexact") ?? 0) > 0;

/** Statements with all of the words, in text, database, user or id. */
export function matching(rows: Row[], words: string): Row[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return rows;
  return rows.filter((row) => {
    const text = `${row["query"] ?? ""} ${row["datname"] ?? ""} ${row["usename"] ?? ""} ${row["queryid"] ?? ""}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}
