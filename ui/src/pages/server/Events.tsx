import { type ReactNode, useMemo, useState } from "react";
import { Dialog } from "../../components/Dialog";
import { dateTime } from "../../data/format";
import type { Range } from "../../data/range";
import { type Row, textIn, timeOf } from "../../data/rows";
import { useSettings } from "../../data/settings";
import { type Cluster, clustersOf, kindOf, wordsOf } from "./clusters";

/** What happened, above the charts. */
export function EventLane({ rows, range }: { rows: Row[]; range: Range }): ReactNode {
  const { zone } = useSettings();
  const [open, setOpen] = useState<Cluster | null>(null);
  const clusters = useMemo(() => clustersOf(rows, range), [rows, range]);
  if (clusters.length === 0) return null;
  return (
    <section className="panel" aria-label="Events">
      <header><h2>Events</h2><span className="muted">{rows.length} in this range</span></header>
      <div className="lane">
        {clusters.map((cluster) => {
          const kinds = cluster.rows.map(kindOf);
          const letter = cluster.rows.length > 1 ? String(cluster.rows.length) : (kinds[0]?.[0] ?? "E");
          const about = `${dateTime(cluster.at, zone)}: ${cluster.rows.slice(0, 5).map(wordsOf).join("; ")}`;
          const place = Math.min(Math.max(((cluster.at - range.from) / (range.to - range.from)) * 100, 1), 99);
          return (
            <button key={cluster.at} type="button" className={kinds.some(([, bad]) => bad) ? "event bad" : "event"} style={{ insetInlineStart: `${place}%` }} title={about} aria-label={about} onClick={() => setOpen(cluster)}>
              {letter}
            </button>
          );
        })}
      </div>
      {open && (
        <Dialog title="What happened" close={() => setOpen(null)}>
          <ul className="stack">
            {open.rows.map((row, at) => (
              <li key={at}><strong>{dateTime(timeOf(row["time"]), zone)}</strong> {wordsOf(row)} <span className="muted">{textIn(row, "database_name")}</span></li>
            ))}
          </ul>
          <p className="row"><button type="button" className="button primary" onClick={() => setOpen(null)}>Close</button></p>
        </Dialog>
      )}
    </section>
  );
}
