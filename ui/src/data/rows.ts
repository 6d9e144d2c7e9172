// Rows of an answer by the names of their columns.
import type { Outcome, Rows } from "./batch";
import type { Value } from "./queryText";

export type Row = Record<string, Value>;

export function rowsIn(outcome: Outcome | undefined): Row[] {
  return outcome && "rows" in outcome ? asObjects(outcome.rows) : [];
}

const kept = new WeakMap<Rows, Row[]>();

/** The same array for the same answer. */
export function asObjects(answer: Rows): Row[] {
  let rows = kept.get(answer);
  if (!rows) {
    const names = answer.columns.map((column) => column.name);
    rows = answer.rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? null])));
    kept.set(answer, rows);
  }
  return rows;
}

export const numberIn = (row: Row | undefined, name: string): number | null => {
  const value = row?.[name];
  return typeof value === "number" ? value : null;
};

export const textIn = (row: Row | undefined, name: string): string => {
  const value = row?.[name];
  return value === null || value === undefined ? "" : String(value);
};

/** `timestamp` comes without a zone, and is UTC. */
export function timeOf(value: Value | undefined): number {
  const text = String(value ?? "");
  return Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
}
