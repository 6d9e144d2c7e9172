import type { ReactNode } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { dateTime, figure } from "../../data/format";
import { type Row, textIn, timeOf } from "../../data/rows";
import { useSettings } from "../../data/settings";

/** Runs that the log has. */
export function Slowest({ rows }: { rows: Row[] }): ReactNode {
  const { zone } = useSettings();
  const columns: GridColumn[] = [
    { id: "duration_ms", title: "Took", unit: "ms" },
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["time"]), zone) },
    { id: "usename", title: "User" },
    { id: "application_name", title: "Application" },
    { id: "file", title: "Log", show: (row) => `${textIn(row, "file")}:${textIn(row, "file_offset")}` },
  ];
  return <Grid label="Slowest runs" rows={rows} columns={columns} rowKey={(row, at) => `${textIn(row, "file")}${textIn(row, "file_offset")}${at}`} sort="-duration_ms" param="lsort" />;
}

/** Plans that the log has, as they were written. */
export function Plans({ rows }: { rows: Row[] }): ReactNode {
  const { zone } = useSettings();
  return (
    <ul className="stack">
      {rows.slice(0, 50).map((row, at) => (
        <li key={at}>
          <details>
            <summary>{dateTime(timeOf(row["time"]), zone)} · {figure(row["duration_ms"], "ms")} · {textIn(row, "application_name")}</summary>
            <pre className="sqltext mono">{textIn(row, "plan")}</pre>
          </details>
        </li>
      ))}
    </ul>
  );
}
