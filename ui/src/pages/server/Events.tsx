import { type ReactNode, useEffect, useMemo, useState } from "react";
import { pointAt, setMarks } from "../../charts/marks";
import { Dialog } from "../../components/Dialog";
import { useAnnotations } from "../../data/annotations";
import { dateTime } from "../../data/format";
import type { Range } from "../../data/range";
import type { Row } from "../../data/rows";
import { useSettings } from "../../data/settings";
import { Annotate, NoteActions } from "../events/Annotate";
import { type Cluster, clustersOf, ofEvent, ofNote } from "./clusters";

interface Props {
  rows: Row[];
  range: Range;
  /** The server that it is about; null: all of them. */
  serverId: string | null;
}

/** What happened, above the charts; it is marked in each of them. */
export function EventLane({ rows, range, serverId }: Props): ReactNode {
  const { zone } = useSettings();
  const notes = useAnnotations(range, serverId);
  const [open, setOpen] = useState<Cluster | null>(null);
  const happenings = useMemo(() => [...rows.map(ofEvent), ...notes.map(ofNote)], [rows, notes]);
  const clusters = useMemo(() => clustersOf(happenings, range), [happenings, range]);
  useEffect(() => {
    setMarks(clusters.map(({ at, all }) => ({ at, isBad: all.some((each) => each.isBad) })));
    return () => setMarks([]);
  }, [clusters]);
  return (
    <section className="panel" aria-label="Events">
      <header>
        <h2>Events</h2>
        <span className="muted">{happenings.length === 0 ? "none in this range" : `${happenings.length} in this range`}</span>
        <Annotate range={range} serverId={serverId} />
      </header>
      {clusters.length > 0 && (
        <div className="lane">
          {clusters.map((cluster) => {
            const { at, all } = cluster;
            const sign = all.length > 1 ? String(all.length) : (all[0]?.letter ?? "");
            const about = `${dateTime(at, zone)}: ${all.slice(0, 5).map((each) => each.words).join("; ")}`;
            const place = Math.min(Math.max(((at - range.from) / (range.to - range.from)) * 100, 1), 99);
            return (
              <button
                key={at}
                type="button"
                className={all.some((each) => each.isBad) ? "event bad" : "event"}
                style={{ insetInlineStart: `${place}%` }}
                title={about}
                aria-label={`${sign}: ${about}`}
                onClick={() => setOpen(cluster)}
                onPointerEnter={() => pointAt(at)}
                onPointerLeave={() => pointAt(null)}
                onFocus={() => pointAt(at)}
                onBlur={() => pointAt(null)}
              >
                {sign}
              </button>
            );
          })}
        </div>
      )}
      {open && (
        <Dialog title="What happened" close={() => setOpen(null)}>
          <ul className="stack">
            {open.all.map((each, place) => (
              <li key={place}>
                <strong>{dateTime(each.at, zone)}</strong> {each.words} <span className="muted">{each.about}</span>
                {each.note && <NoteActions note={each.note} done={() => setOpen(null)} />}
              </li>
            ))}
          </ul>
          <p className="row"><button type="button" className="button primary" onClick={() => setOpen(null)}>Close</button></p>
        </Dialog>
      )}
    </section>
  );
}
