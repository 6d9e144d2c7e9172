import type { ReactNode } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { type Row, textIn } from "../../data/rows";

const COLUMNS: GridColumn[] = [
  { id: "datname", title: "Database" },
  { id: "usename", title: "User" },
  { id: "calls", title: "Calls", unit: "", about: "Since the statistics began" },
  { id: "total_exec_time", title: "Time", unit: "ms" },
  { id: "min_exec_time", title: "Fastest", unit: "ms" },
  { id: "max_exec_time", title: "Slowest", unit: "ms" },
  { id: "stddev_exec_time", title: "σ", unit: "ms" },
];

/** Who runs it, since the statistics began. */
export function Owners({ rows }: { rows: Row[] }): ReactNode {
  return <Grid label="Since the statistics began" rows={rows} columns={COLUMNS} rowKey={(row, at) => `${textIn(row, "datname")}|${textIn(row, "usename")}|${at}`} sort="-total_exec_time" param="osort" />;
}
