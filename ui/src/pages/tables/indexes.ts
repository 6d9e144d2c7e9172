// Which indexes help nobody.
import { type Row, numberIn, textIn } from "../../data/rows";

export type Verdict = "invalid" | "unused" | "duplicate" | "used";

/** Columns of an index with what it is on: the same for indexes that do the same. */
const shapeOf = (row: Row): string => [row["database_name"], row["schemaname"], row["relname"], row["amname"], row["indkey"]].join("|");

/**
 * A verdict for each index. Unused is what no member has read in the range and
 * no constraint needs; of several on the same columns the first by name stays.
 * Partial ones, and those on expressions (a 0 among the columns), are never
 * taken for duplicates: what tells them apart is not known here.
 */
export function verdictsOf(rows: Row[]): Map<Row, Verdict> {
  const first = new Map<string, Row>();
  const isPlain = (row: Row): boolean => row["indispartial"] !== true && !textIn(row, "indkey").split(" ").includes("0");
  const needed = (row: Row): boolean => row["indisconstraint"] === true || row["indisunique"] === true;
  const sorted = [...rows].sort((a, b) => Number(needed(b)) - Number(needed(a)) || (textIn(a, "indexrelname") < textIn(b, "indexrelname") ? -1 : 1));
  const verdicts = new Map<Row, Verdict>();
  for (const row of sorted) {
    const shape = shapeOf(row);
    const isSecond = isPlain(row) && first.has(shape);
    if (isPlain(row) && !first.has(shape)) first.set(shape, row);
    if (row["indisvalid"] === false) verdicts.set(row, "invalid");
    else if (isSecond && !needed(row)) verdicts.set(row, "duplicate");
    else if (!needed(row) && (numberIn(row, "scans") ?? 0) === 0) verdicts.set(row, "unused");
    else verdicts.set(row, "used");
  }
  return verdicts;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const dropOf = (row: Row): string => `drop index concurrently ${quoted(textIn(row, "schemaname"))}.${quoted(textIn(row, "indexrelname"))};`;
