import type { ReactNode } from "react";
import { dateTime, figure } from "../data/format";
import type { Series } from "../data/series";
import { useSettings } from "../data/settings";

/** Rows that are shown; the newest. */
const MOST = 500;

/** The figures of a chart, the newest first. */
export function DataTable({ label, unit, series }: { label: string; unit: string; series: Series }): ReactNode {
  const { zone } = useSettings();
  const rows: { time: number; at: number }[] = [];
  for (let at = series.times.length - 1; at >= 0 && rows.length < MOST; at -= 1) {
    if (series.lines.some((line) => line.values[at] !== null)) rows.push({ time: series.times[at] ?? 0, at });
  }
  return (
    <div className="table" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col"><span>Time</span></th>
            {series.lines.map((line, place) => <th key={`${place} ${line.label}`} scope="col" className="num"><span>{line.label}</span></th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ time, at }) => (
            <tr key={time}>
              <td>{dateTime(time * 1000, zone)}</td>
              {series.lines.map((line, place) => <td key={`${place} ${line.label}`} className="num">{figure(line.values[at], unit)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
