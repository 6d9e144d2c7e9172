import type { Annotation } from "../../data/annotations";
import type { Range } from "../../data/range";
import { type Row, textIn, timeOf } from "../../data/rows";

/** What happened: an event that an agent saw, or what somebody says. */
export interface Happening {
  at: number;
  /** Stands in the lane. */
  letter: string;
  isBad: boolean;
  words: string;
  /** Where, if not everywhere. */
  about: string;
  note?: Annotation;
}

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

export const ofEvent = (row: Row): Happening => {
  const [letter, isBad] = kindOf(row);
  return { at: timeOf(row["time"]), letter, isBad, words: wordsOf(row), about: textIn(row, "database_name") };
};

/** A deploy is told from a note: it is what one looks for first. */
export const ofNote = (note: Annotation): Happening => ({
  at: Date.parse(note.time),
  letter: note.tags.includes("deploy") ? "D!" : "N",
  isBad: false,
  words: `${note.title}${note.tags.length > 0 ? ` (${note.tags.join(", ")})` : ""}`.slice(0, 400),
  about: note.author,
  note,
});

export interface Cluster {
  at: number;
  all: Happening[];
}

/** What lies closer than a hundredth of the range is one mark. */
export function clustersOf(happenings: Happening[], range: Range): Cluster[] {
  const near = (range.to - range.from) / 100;
  const clusters: Cluster[] = [];
  for (const each of [...happenings].sort((a, b) => a.at - b.at)) {
    // What began before the range and lasts, and what happened after its last step, stands at its edge.
    const at = Math.min(Math.max(each.at, range.from), range.to);
    const last = clusters.at(-1);
    if (last && at - last.at < near) last.all.push(each);
    else clusters.push({ at, all: [each] });
  }
  return clusters;
}

/** An event in words. */
export function wordsOf(row: Row): string {
  const has = row["old"] !== null || row["new"] !== null;
  const change = has ? `${textIn(row, "old") || "–"} → ${textIn(row, "new") || "–"}` : "";
  return [row["kind"], row["object"], change].filter(Boolean).join(" · ").slice(0, 400);
}
