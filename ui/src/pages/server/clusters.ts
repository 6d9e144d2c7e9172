import type { Range } from "../../data/range";
import { type Row, textIn, timeOf } from "../../data/rows";

/** Letter of each kind of event, and whether it hurts. */
const KINDS: Record<string, readonly [string, boolean]> = {
  restart: ["R", true],
  crash: ["C", true],
  role: ["P", true],
  timeline: ["T", true],
  version: ["V", false],
  setting: ["S", false],
  setting_pending: ["Q", false],
  schema: ["D", false],
};

export const kindOf = (row: Row): readonly [string, boolean] => KINDS[textIn(row, "kind")] ?? ["E", false];

export interface Cluster {
  at: number;
  rows: Row[];
}

/** Events that lie closer than a hundredth of the range are one mark. */
export function clustersOf(rows: Row[], range: Range): Cluster[] {
  const near = (range.to - range.from) / 100;
  const clusters: Cluster[] = [];
  for (const row of [...rows].sort((a, b) => timeOf(a["time"]) - timeOf(b["time"]))) {
    const at = timeOf(row["time"]);
    const last = clusters.at(-1);
    if (last && at - last.at < near) last.rows.push(row);
    else clusters.push({ at, rows: [row] });
  }
  return clusters;
}

/** An event in words. */
export function wordsOf(row: Row): string {
  const has = row["old"] !== null || row["new"] !== null;
  const change = has ? `${textIn(row, "old") || "–"} → ${textIn(row, "new") || "–"}` : "";
  return [row["kind"], row["object"], change].filter(Boolean).join(" · ").slice(0, 400);
}
