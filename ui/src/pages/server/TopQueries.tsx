import type { ReactNode } from "react";
import { useGo } from "../../app/go";
import { Grid, type GridColumn } from "../../components/Grid";
import { StatementLink } from "../../components/StatementLink";
import type { ServerInfo } from "../../data/api";
import { type Row, textIn } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { meanOf } from "../queries/figures";

/** The statements that took most time. */
export function TopQueries({ rows, server }: { rows: Row[]; server: ServerInfo }): ReactNode {
  const go = useGo();
  const path = (row: Row): string => `/s/${slugOf(server)}/queries/${textIn(row, "queryid")}`;
  const columns: GridColumn[] = [
    { id: "query", title: "Statement", isWide: true, show: (row) => <StatementLink slug={slugOf(server)} row={row} most={90} /> },
    { id: "ms", title: "Time", unit: "ms" },
    { id: "calls", title: "Calls", unit: "" },
    { id: "mean", title: "Mean", unit: "ms", value: meanOf },
  ];
  return <Grid label="Statements" rows={rows} columns={columns} rowKey={(row, at) => `${textIn(row, "queryid")}${at}`} open={(row) => go(path(row))} sort="-ms" param="tsort" />;
}
