import type { ReactNode } from "react";
import { To } from "../../components/To";
import { figure } from "../../data/format";
import { type Row, textIn } from "../../data/rows";
import { slugOf } from "../../data/servers";

/** The hosts that the members run on; each has its own page. */
export function Hosts({ rows }: { rows: Row[] }): ReactNode {
  const hosts = new Map(rows.map((row) => [textIn(row, "host_id"), row]));
  if (hosts.size === 0) return null;
  return (
    <p className="row">
      <span className="muted">Runs on</span>
      {[...hosts].map(([id, row]) => (
        <span key={id} className="row">
          <To path={`/s/${slugOf({ id, name: textIn(row, "hostname") })}/host`}>{textIn(row, "hostname")}</To>
          <span className="muted">{figure(row["cpus"])} processors, {figure(row["memory_total"], "B")}</span>
        </span>
      ))}
    </p>
  );
}
