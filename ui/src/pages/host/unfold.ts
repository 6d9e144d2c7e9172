import type { Row } from "../../data/rows";

/** Rows with several figures as rows with one each, in the order of the names. */
export function unfolded(rows: Row[], names: Record<string, string>): Row[] {
  return rows.flatMap((row) => Object.entries(names).map(([column, line]): Row => ({ t: row["t"] ?? null, line, value: row[column] ?? null })));
}
