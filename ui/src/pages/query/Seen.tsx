import type { ReactNode } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { dateTime } from "../../data/format";
import { type Row, textIn, timeOf } from "../../data/rows";
import { useSettings } from "../../data/settings";

/** Sessions that ran it when the list of sessions was taken. */
export function Seen({ rows }: { rows: Row[] }): ReactNode {
  const { zone } = useSettings();
  const columns: GridColumn[] = [
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["time"]), zone) },
    { id: "pid", title: "PID", show: (row) => textIn(row, "pid") },
    { id: "datname", title: "Database" },
    { id: "usename", title: "User" },
    { id: "application_name", title: "Application" },
    { id: "query_age", title: "Running for", unit: "s" },
    { id: "wait_event", title: "Waits for", show: (row) => (row["wait_event_type"] ? `${textIn(row, "wait_event_type")}: ${textIn(row, "wait_event")}` : "runs") },
    { id: "blocked_by", title: "Blocked by" },
  ];
  return <Grid label="Seen running" rows={rows} columns={columns} rowKey={(row, at) => `${textIn(row, "time")}|${textIn(row, "pid")}|${at}`} sort="-time" param="ssort" />;
}
