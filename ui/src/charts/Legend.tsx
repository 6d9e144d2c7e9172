import type { ReactNode } from "react";
import { figure } from "../data/format";
import type { Line, Series } from "../data/series";

interface Props {
  lines: Line[];
  colors: string[];
  /** The bucket under the cursor; null: the last one that is there. */
  at: number | null;
  unit: string;
  before?: Series | undefined;
  limit?: { value: number; label: string } | undefined;
}

/** Names, colours and the figures under the cursor. */
export function Legend({ lines, colors, at, unit, before, limit }: Props): ReactNode {
  const value = (line: Line): number | null | undefined => (at === null ? line.values.findLast((each) => each !== null) : line.values[at]);
  return (
    <ul className="legend">
      {lines.map((line, place) => (
        <li key={`${place} ${line.label}`} title={line.label}>
          <Swatch color={`var(${colors[place] ?? "--c-rest"})`} />
          <span className="name">{line.label}</span>
          <span className="value">{figure(value(line), unit)}</span>
        </li>
      ))}
      {before && before.lines.length > 0 && (
        <li>
          <Swatch color="var(--line-strong)" isLine />
          <span>before (dashed)</span>
          <span className="value">{before.lines.length === 1 && before.lines[0] ? figure(value(before.lines[0]), unit) : ""}</span>
        </li>
      )}
      {limit && (
        <li>
          <Swatch color="var(--ink)" isLine />
          <span>{limit.label}</span>
        </li>
      )}
    </ul>
  );
}

export function Swatch({ color, isLine = false }: { color: string; isLine?: boolean }): ReactNode {
  return <span style={{ background: color }} className={isLine ? "swatch line" : "swatch"} aria-hidden="true" />;
}
