import type { ReactNode } from "react";
import { dateTime, figure } from "../data/format";
import type { Series } from "../data/series";
import { useSettings } from "../data/settings";

/** The figures of a chart. */
export function DataTable({ label, unit, series }: { label: string; unit: string; series: Series }): ReactNode {
  const { zone } = useSettings();
  const rows = series.times.map((time, at) => ({ time, at })).filter(({ at }) => series.lines.some((line) => line.values[at] !== null)).reverse();
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
          {rows.slice(0, 500).map(({ time, at }) => (
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
