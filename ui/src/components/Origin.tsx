import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { type Outcome, type Rows, runBatch } from "../data/batch";
import { useCatalog } from "../data/catalog";
import { catalogue } from "../data/catalogue";
import { dateTime } from "../data/format";
import { type Behind, behind } from "../data/origin";
import type { Sent } from "../data/page";
import { timeOf } from "../data/rows";
import { useSettings } from "../data/settings";
import { Dialog } from "./Dialog";

const TITLES: Record<Behind["what"], string> = {
  read: "As PostgreSQL said it",
  increases: "What was made of it: increases",
  quality: "How sure the increases are",
};

/** Where the figures of a panel come from: its SQL, and the newest rows behind it. */
export function Origin({ title, sent, close }: { title: string; sent: Sent; close: () => void }): ReactNode {
  const { measurements, error } = useCatalog();
  const query = catalogue.get(sent.name);
  const all = useMemo(() => {
    const bounds = Object.fromEntries((query?.params ?? []).map((name, at) => [name, sent.params[at] ?? null]));
    return behind(query?.needs ?? [], measurements, bounds);
  }, [query, sent, measurements]);
  const asked = useQuery({
    queryKey: ["origin", all.map((each) => [each.query.sql, each.query.params])],
    enabled: all.length > 0,
    queryFn: async ({ signal }) => {
      const outcomes = new Map<string, Outcome>();
      await runBatch(all.map((each) => each.query), new Map(), (id, outcome) => outcomes.set(id, outcome), signal);
      return outcomes;
    },
    staleTime: Infinity,
  });
  const failed = error ?? asked.error;
  return (
    <Dialog title={`${title}: where it comes from`} className="wide" close={close}>
      <pre className="code">{sent.sql}</pre>
      {sent.params.length > 0 && <p className="mono muted">{sent.params.map((value, at) => `$${at + 1} = ${String(value)}`).join(" · ")}</p>}
      <p className="muted">Below are the newest rows that it reads, in its own range. A counter that began anew (a restart, a reset, an eviction) has a lower bound in that step, or nothing: “lower_bound”, “unknown”.</p>
      {failed && <p className="state" role="alert">{failed.message}</p>}
      {all.map(({ measurement, what, query: { id } }) => (
        <section key={id} aria-label={`${measurement.name}: ${TITLES[what]}`}>
          <h3><span className="mono">{measurement.name}</span> <span className="muted">{TITLES[what]}</span></h3>
          <Found outcome={asked.data?.get(id)} />
        </section>
      ))}
      <p className="row"><button type="button" className="button primary" onClick={close}>Close</button></p>
    </Dialog>
  );
}

function Found({ outcome }: { outcome: Outcome | undefined }): ReactNode {
  if (!outcome) return <p className="state appear" role="status">Loading …</p>;
  if ("error" in outcome) return <p className="state">{outcome.error.message}</p>;
  if (outcome.rows.rows.length === 0) return <p className="state">No rows in this range.</p>;
  return <Plain rows={outcome.rows} />;
}

function Plain({ rows: { columns, rows } }: { rows: Rows }): ReactNode {
  const { zone } = useSettings();
  const text = (value: unknown, type: string): string => {
    if (value === null) return "NULL";
    if (type.startsWith("timestamp")) return dateTime(timeOf(String(value)), zone);
    return typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: 6 }) : String(value).slice(0, 200);
  };
  return (
    <div className="table" tabIndex={0} role="region" aria-label="Rows">
      <table>
        <thead><tr>{columns.map((column) => <th key={column.name} scope="col"><span>{column.name}</span></th>)}</tr></thead>
        <tbody>
          {rows.map((row, at) => <tr key={at}>{row.map((value, place) => <td key={place} className={typeof value === "number" ? "num" : ""} title={value === null ? undefined : String(value).slice(0, 2000)}>{text(value, columns[place]?.type ?? "")}</td>)}</tr>)}
        </tbody>
      </table>
    </div>
  );
}
