import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, useMemo, useRef } from "react";
import { figure } from "../data/format";
import type { Row } from "../data/rows";
import { useSearch, useSet } from "../data/url";

export interface GridColumn {
  id: string;
  title: string;
  unit?: string;
  /** What it is sorted by; default the row's value of that name. */
  value?: (row: Row) => string | number | boolean | null | undefined;
  show?: (row: Row) => ReactNode;
  /** It takes the room that others leave, and is cut. */
  isWide?: boolean;
  /** What its words mean, on hover. */
  about?: string;
}

interface Props {
  label: string;
  rows: Row[];
  columns: GridColumn[];
  rowKey: (row: Row, at: number) => string;
  open?: (row: Row) => void;
  /** Column to sort by where the address names none; `-` before it: largest first. */
  sort: string;
  /** Name of the address parameter that holds the order. */
  param?: string;
}

type Cell = string | number | boolean | null | undefined;

export function compare(a: Cell, b: Cell): number {
  // What is not there comes last, whichever way.
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return Number(noA) - Number(noB);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

export function sortRows(rows: Row[], value: (row: Row) => Cell, isDown: boolean): Row[] {
  return [...rows].sort((a, b) => {
    const [one, two] = [value(a), value(b)];
    const isMissing = one === null || one === undefined || two === null || two === undefined;
    return isMissing || !isDown ? compare(one, two) : compare(two, one);
  });
}

const valueOf = (column: GridColumn) => column.value ?? ((row: Row): Cell => row[column.id]);

/** Rows of any number; only those in sight are in the document. */
export function Grid({ label, rows, columns, rowKey, open, sort, param = "sort" }: Props): ReactNode {
  const search = useSearch();
  const set = useSet();
  const asked = search[param] ?? sort;
  const isDown = asked.startsWith("-");
  const by = columns.find((column) => column.id === asked.replace(/^-/, "")) ?? columns[0];
  const sorted = useMemo(() => (by ? sortRows(rows, valueOf(by), isDown) : rows), [rows, by, isDown]);
  const box = useRef<HTMLDivElement>(null);
  const isLong = sorted.length > 60;
  const virtual = useVirtualizer({ count: isLong ? sorted.length : 0, getScrollElement: () => box.current, estimateSize: () => 30, overscan: 12 });
  const items = isLong ? virtual.getVirtualItems() : sorted.map((_, index) => ({ index, start: 0, end: 0, key: index }));
  const above = isLong ? (items[0]?.start ?? 0) : 0;
  const below = isLong ? virtual.getTotalSize() - (items.at(-1)?.end ?? 0) : 0;

  const onKeyDown = (event: KeyboardEvent<HTMLTableRowElement>, row: Row): void => {
    const line = event.currentTarget;
    if (event.key === "Enter" && event.target === line) open?.(row);
    const to = event.key === "ArrowDown" ? line.nextElementSibling : event.key === "ArrowUp" ? line.previousElementSibling : null;
    if (to instanceof HTMLElement && to.tabIndex >= 0) {
      to.focus();
      event.preventDefault();
    }
  };
  const turn = (column: GridColumn): void => {
    const next = by?.id === column.id ? (isDown ? column.id : `-${column.id}`) : `-${column.id}`;
    set({ [param]: next }, { replace: true });
  };

  return (
    <div className="table" ref={box} role="region" aria-label={label} tabIndex={0}>
      <table aria-rowcount={sorted.length + 1}>
        <thead>
          <tr>
            {columns.map((column) => {
              const isBy = by?.id === column.id;
              return (
                <th key={column.id} scope="col" className={isNumber(column, rows) ? "num" : ""} title={column.about} aria-sort={isBy ? (isDown ? "descending" : "ascending") : undefined}>
                  <button type="button" onClick={() => turn(column)}>
                    {column.title}
                    <span aria-hidden="true">{isBy ? (isDown ? "▾" : "▴") : ""}</span>
                  </button>
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {above > 0 && <tr aria-hidden="true"><td colSpan={columns.length} style={{ height: above }} /></tr>}
          {items.map(({ index }) => {
            const row = sorted[index];
            if (!row) return null;
            return (
              <tr
                key={rowKey(row, index)}
                aria-rowindex={index + 2}
                tabIndex={open ? 0 : undefined}
                data-open={open ? "" : undefined}
                onClick={open ? (event) => !(event.target as Element).closest("a,button") && open(row) : undefined}
                onKeyDown={open ? (event) => onKeyDown(event, row) : undefined}
              >
                {columns.map((column) => (
                  <td key={column.id} className={column.isWide ? "wide" : isNumber(column, rows) ? "num" : ""}>
                    {column.show ? column.show(row) : figure(valueOf(column)(row), column.unit)}
                  </td>
                ))}
              </tr>
            );
          })}
          {below > 0 && <tr aria-hidden="true"><td colSpan={columns.length} style={{ height: below }} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

function isNumber(column: GridColumn, rows: Row[]): boolean {
  if (column.unit !== undefined) return true;
  const value = rows[0] ? valueOf(column)(rows[0]) : null;
  return typeof value === "number";
}
