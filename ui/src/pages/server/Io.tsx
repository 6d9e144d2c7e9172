import type { ReactNode } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { type Row, numberIn, textIn } from "../../data/rows";

const COLUMNS: GridColumn[] = [
  { id: "backend_type", title: "Who" },
  { id: "object", title: "Object" },
  { id: "context", title: "Context" },
  { id: "read", title: "Read", unit: "B" },
  { id: "written", title: "Written", unit: "B" },
  { id: "ms_a_read", title: "Per read", unit: "ms", about: "Needs track_io_timing" },
  { id: "evicted", title: "Evicted", unit: "" },
  { id: "fsyncs", title: "fsyncs", unit: "" },
];

const isBusy = (row: Row): boolean => ["read", "written", "evicted", "fsyncs"].some((name) => (numberIn(row, name) ?? 0) > 0);

/** Who read and wrote, and why. */
export function Io({ rows }: { rows: Row[] }): ReactNode {
  return <Grid label="Reads and writes" rows={rows.filter(isBusy)} columns={COLUMNS} rowKey={(row) => `${textIn(row, "backend_type")}|${textIn(row, "object")}|${textIn(row, "context")}`} sort="-written" param="iosort" />;
}
