// What an answer of the console is drawn as.
import type { Rows } from "../../data/batch";
import type { Value } from "../../data/queryText";

/** Parameters as they stand in the address: a JSON array of plain values. */
export function readParams(text: string): Value[] | null {
  if (text.trim() === "") return [];
  try {
    const value: unknown = JSON.parse(text);
    const isPlain = (each: unknown): each is Value => each === null || ["string", "number", "boolean"].includes(typeof each);
    return Array.isArray(value) && value.every(isPlain) ? value : null;
  } catch {
    return null;
  }
}

export interface Shape {
  time: number;
  /** Columns with figures. */
  figures: number[];
  /** Column that tells lines apart; -1: none. */
  by: number;
}

const TIMES = new Set(["timestamp", "timestamptz"]);
const NUMBERS = new Set(["bigint", "integer", "smallint", "double precision", "real", "numeric"]);

/** How to draw an answer over time; null: it has none. */
export function shapeOf(answer: Rows): Shape | null {
  const time = answer.columns.findIndex((column) => TIMES.has(column.type));
  if (time < 0 || answer.rows.length < 2) return null;
  const figures = answer.columns.flatMap((column, at) => (NUMBERS.has(column.type) ? [at] : []));
  const texts = answer.columns.flatMap((column, at) => (column.type === "text" ? [at] : []));
  if (figures.length === 0 || texts.length > 1) return null;
  return { time, figures, by: texts[0] ?? -1 };
}

/** Where in a text an error is, if it says so: `Line: 1, Column: 8`. */
export function placeOf(message: string, text: string): { line: number; column: number; from: number } | null {
  const found = /line:? (\d+),? column:? (\d+)/i.exec(message);
  if (!found) return null;
  const [line, column] = [Number(found[1]), Number(found[2])];
  const lines = text.split("\n");
  if (line < 1 || line > lines.length) return null;
  const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  return { line, column, from: Math.min(before + column - 1, text.length) };
}
