import { useParams } from "@tanstack/react-router";
import { type ReactNode, useId } from "react";
import type { ApiError } from "../data/api";
import type { Outcome, Rows } from "../data/batch";
import { catalogue } from "../data/catalogue";
import { clock, figure } from "../data/format";
import type { Page } from "../data/page";
import { rowsIn } from "../data/rows";
import { findServer } from "../data/servers";
import { useSession } from "../data/session";
import { useSettings } from "../data/settings";
import { reasonOf, wordsFor } from "../data/why";
import { PanelMenu } from "./PanelMenu";

interface Props {
  title: string;
  /** What the figures are, in small. */
  unit?: string;
  /** Id of its query in the page's batch. */
  id: string;
  page: Page;
  /** What to say where all was looked at and nothing was there. */
  nothing: string;
  isChart?: boolean;
  actions?: ReactNode;
  children: (rows: Rows) => ReactNode;
}

/** A part of a page: its data, or why there are none. */
export function Panel({ title, unit, id, page, nothing, isChart = false, actions, children }: Props): ReactNode {
  const heading = useId();
  const outcome = page.data?.outcomes.get(id);
  const sent = page.data?.sent.get(id);
  const rows = outcome && "rows" in outcome ? outcome.rows : null;
  return (
    <section className="panel" aria-labelledby={heading} data-panel={id}>
      <header>
        <h2 id={heading}>{title}</h2>
        {unit && <span className="muted">{unit}</span>}
        <span className="grow" />
        {rows?.truncated && sent?.isWhole && <span className="badge warn">first {rows.rows.length.toLocaleString("en")} rows; narrow the range</span>}
        {actions}
        {sent && page.data && <PanelMenu title={title} unit={unit ?? ""} sent={sent} data={page.data} rows={rows} isChart={isChart} />}
      </header>
      {rows && rows.rows.length > 0 ? children(rows) : <Empty {...{ id, page, outcome, nothing, isChart }} />}
    </section>
  );
}

interface EmptyProps {
  id: string;
  page: Page;
  outcome: Outcome | undefined;
  nothing: string;
  isChart: boolean;
}

/** When the first word came of the server of this page, or of any; null: that is not known. */
function useFirstSeen(): number | null {
  const { server: slug } = useParams({ strict: false }) as { server?: string };
  const { boot } = useSession();
  const found = slug ? findServer(boot.servers, slug) : null;
  const servers = found && "server" in found ? [found.server] : slug ? [] : boot.servers;
  return servers.length > 0 ? Math.min(...servers.map((server) => Date.parse(server.first_seen))) : null;
}

/** Nothing is just empty. */
function Empty({ id, page, outcome, nothing, isChart }: EmptyProps): ReactNode {
  const kind = isChart ? "state chart" : "state";
  const since = useFirstSeen();
  const { zone } = useSettings();
  if (!outcome && page.error) {
    return <p className={kind}>Not there: {page.error.message}</p>;
  }
  if (!outcome) {
    return <p className={`${kind} appear`} role="status">Loading …</p>;
  }
  if ("error" in outcome) return <Failed error={outcome.error} again={page.again} kind={kind} />;
  const sent = page.data?.sent.get(id);
  const needs = (sent && catalogue.get(sent.name)?.needs) ?? [];
  if (isChart && page.data && since !== null && since >= page.data.range.to) {
    return <p className={kind} data-reason="young">It is watched since {clock(since, zone)}: the first step of {figure(page.data.step, "s")} is not complete yet.</p>;
  }
  const reason = reasonOf(needs, rowsIn(page.data?.outcomes.get("why")));
  return <p className={kind} data-reason={reason.kind}>{wordsFor(reason, nothing)}</p>;
}

export function Failed({ error, again, kind = "state" }: { error: ApiError; again?: () => void; kind?: string }): ReactNode {
  return (
    <div className={kind} role="alert">
      <p>
        <span className="badge bad">{error.code}</span> {error.message}
      </p>
      {again && error.passes && <button type="button" className="button" onClick={again}>Try again</button>}
    </div>
  );
}
