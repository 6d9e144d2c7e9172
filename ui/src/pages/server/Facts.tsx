import type { ReactNode } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { version } from "../../data/format";
import { type Row, textIn, timeOf } from "../../data/rows";
import { useSession } from "../../data/session";
import { roleOf } from "../fleet/Instances";

/** A switch that is off where it should be on stands out. */
const safe = (name: string): GridColumn => ({
  id: name,
  title: name,
  show: (row) => (row[name] === false ? <span className="badge bad">✕ off</span> : row[name] === true ? "on" : "–"),
});

/** What the members of a cluster are. */
export function Facts({ rows }: { rows: Row[] }): ReactNode {
  const { ahead } = useSession();
  const columns: GridColumn[] = [
    { id: "server", title: "Address" },
    { id: "role", title: "Role", value: roleOf },
    { id: "server_version_num", title: "Version", unit: "", show: (row) => version(row["server_version_num"]) },
    { id: "start_time", title: "Up for", unit: "s", value: (row) => (row["start_time"] ? (Date.now() + ahead - timeOf(row["start_time"])) / 1000 : null) },
    { id: "max_connections", title: "max_connections", unit: "" },
    safe("fsync"),
    safe("full_page_writes"),
    safe("autovacuum"),
    { id: "archive_mode", title: "archive_mode" },
    { id: "pending_restart", title: "Wait for restart", unit: "", about: "Settings that hold after a restart" },
  ];
  return <Grid label="Instances" rows={rows} columns={columns} rowKey={(row) => textIn(row, "instance_id")} sort="role" param="isort" />;
}
