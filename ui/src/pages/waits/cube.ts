// Sampled time by every dimension at once; slices of it are made here, without asking again.
import { type Row, numberIn, textIn } from "../../data/rows";

export const DIMENSIONS: readonly (readonly [string, string])[] = [
  ["wait_class", "Wait class"],
  ["wait_event", "Wait event"],
  ["query_id", "Statement"],
  ["datname", "Database"],
  ["usename", "User"],
  ["application_name", "Application"],
  ["backend_type", "Backend"],
];

export interface Chip {
  dimension: string;
  value: string;
  isOut: boolean;
}

const isDimension = (name: string): boolean => DIMENSIONS.some(([id]) => id === name);

/** Chips of an address: `dim:value`, `-dim:value`, with commas between them; what is none is left out. */
export function readChips(text: string): Chip[] {
  return text
    .split(",")
    .flatMap((part) => {
      const isOut = part.startsWith("-");
      const [dimension = "", ...rest] = (isOut ? part.slice(1) : part).split(":");
      try {
        return isDimension(dimension) ? [{ dimension, value: decodeURIComponent(rest.join(":")), isOut }] : [];
      } catch {
        return [];
      }
    });
}

export const printChips = (chips: Chip[]): string =>
  chips.map(({ dimension, value, isOut }) => `${isOut ? "-" : ""}${dimension}:${encodeURIComponent(value)}`).join(",");

/** Adds a chip, or takes away the one that is there for this value. */
export function toggled(chips: Chip[], chip: Chip): Chip[] {
  const rest = chips.filter((each) => each.dimension !== chip.dimension || each.value !== chip.value);
  return rest.length < chips.length ? rest : [...chips, chip];
}

/** Cells that the chips leave. Of one dimension any of its values, of several all. */
export function filtered(cells: Row[], chips: Chip[]): Row[] {
  const wanted = new Map<string, Set<string>>();
  for (const { dimension, value, isOut } of chips) {
    if (!isOut) wanted.set(dimension, (wanted.get(dimension) ?? new Set()).add(value));
  }
  const out = chips.filter((chip) => chip.isOut);
  return cells.filter(
    (cell) => [...wanted].every(([dimension, values]) => values.has(textIn(cell, dimension))) && !out.some((chip) => textIn(cell, chip.dimension) === chip.value),
  );
}

/** Values of a dimension with their seconds, the largest first. */
export function topOf(cells: Row[], dimension: string): { value: string; seconds: number; share: number }[] {
  const sums = new Map<string, number>();
  let all = 0;
  for (const cell of cells) {
    const seconds = numberIn(cell, "s") ?? 0;
    const value = textIn(cell, dimension);
    sums.set(value, (sums.get(value) ?? 0) + seconds);
    all += seconds;
  }
  return [...sums].map(([value, seconds]) => ({ value, seconds, share: all > 0 ? seconds / all : 0 })).sort((a, b) => b.seconds - a.seconds);
}

/** Cells as average active sessions of their bucket. */
export function asSessions(cells: Row[], step: number): Row[] {
  return cells.map((cell) => ({ ...cell, sessions: (numberIn(cell, "s") ?? 0) / step }));
}
