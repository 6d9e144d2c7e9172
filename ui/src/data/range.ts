// Ranges of time as they stand in the address: now-1h, ISO 8601, milliseconds.

/** Milliseconds since 1970. */
export type Ms = number;

const UNITS: Record<string, Ms> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
/** The years that a time may be of. */
const [FIRST, LAST] = [Date.UTC(2000, 0, 1), Date.UTC(2200, 0, 1)];

const possible = (at: Ms): Ms | null => (Number.isFinite(at) && at >= FIRST && at < LAST ? at : null);

/** A time of the address; null: it is none. */
export function parseTime(text: string, now: Ms): Ms | null {
  const relative = /^now(?:-(\d{1,6})([smhdw]))?$/.exec(text);
  if (relative) return possible(now - (relative[1] ? Number(relative[1]) * (UNITS[relative[2] ?? ""] ?? 0) : 0));
  if (/^\d{12,14}$/.test(text)) return possible(Number(text));
  if (!/^\d{4}-\d{2}-\d{2}/.test(text)) return null;
  return possible(Date.parse(text));
}

export const printTime = (at: Ms): string => new Date(at).toISOString().replace(".000Z", "Z");

/** How long ago a text like `1d` means; null: it is none. */
export function parseSpan(text: string): Ms | null {
  const found = /^(\d{1,6})([smhdw])$/.exec(text);
  return found ? Number(found[1]) * (UNITS[found[2] ?? ""] ?? 0) : null;
}

export interface Range {
  from: Ms;
  to: Ms;
}

/** The other period that `vs` means; null: none, or a text that means nothing. */
export function otherPeriod(range: Range, vs: string): Range | null {
  const shift = vs === "prev" ? range.to - range.from : parseSpan(vs);
  return shift ? { from: range.from - shift, to: range.to - shift } : null;
}

const LADDER = [10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];

/** Seconds of a bucket, so that a chart of this width has at most a point every two pixels. */
export function stepOf(range: Range, width: number, least: number): number {
  const wanted = Math.max((range.to - range.from) / 1000 / Math.max(width / 2, 50), least);
  return LADDER.find((step) => step >= wanted) ?? 86_400;
}

/** Moves a range by a part of its length. */
export function shift(range: Range, part: number): Range {
  const by = (range.to - range.from) * part;
  return { from: range.from + by, to: range.to + by };
}

/** Makes a range longer (2) or shorter (0.5) around its middle; never under a minute. */
export function zoom(range: Range, factor: number): Range {
  const middle = (range.from + range.to) / 2;
  const half = Math.max(((range.to - range.from) * factor) / 2, 30_000);
  return { from: Math.round(middle - half), to: Math.round(middle + half) };
}

export const PRESETS: readonly (readonly [string, string])[] = [
  ["now-15m", "Last 15 minutes"],
  ["now-1h", "Last hour"],
  ["now-3h", "Last 3 hours"],
  ["now-12h", "Last 12 hours"],
  ["now-1d", "Last 24 hours"],
  ["now-2d", "Last 2 days"],
  ["now-7d", "Last 7 days"],
];
