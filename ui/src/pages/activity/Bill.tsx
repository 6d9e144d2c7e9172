import type { ReactNode } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { StatementLink } from "../../components/StatementLink";
import type { ServerInfo } from "../../data/api";
import { type Row, textIn } from "../../data/rows";
import { slugOf } from "../../data/servers";

/** Waiting as a bill: what it cost others that somebody held a lock. */
export function Bill({ rows, server }: { rows: Row[]; server: ServerInfo }): ReactNode {
  const columns: GridColumn[] = [
    {
      id: "query",
      title: "Statement that held the lock",
      isWide: true,
      show: (row) => {
        const id = textIn(row, "blocker");
        if (!id || id === "0") return <span className="cut">none: the session was idle, or its statement has no id</span>;
        return <StatementLink slug={slugOf(server)} row={row} id="blocker" />;
      },
    },
    { id: "state", title: "Its state" },
    { id: "waited", title: "Others waited", unit: "s" },
    { id: "share", title: "Of all waiting", unit: "ratio" },
    { id: "waiters", title: "Statements held up", unit: "" },
  ];
  return <Grid label="Who made others wait" rows={rows} columns={columns} rowKey={(row) => `${textIn(row, "blocker")}|${textIn(row, "state")}`} sort="-waited" param="billsort" />;
}
