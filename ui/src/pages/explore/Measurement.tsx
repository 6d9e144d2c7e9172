import { useParams } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { TimeChart } from "../../charts/TimeChart";
import { Grid, type GridColumn } from "../../components/Grid";
import { Failed } from "../../components/Panel";
import { To } from "../../components/To";
import { ApiError } from "../../data/api";
import { type Outcome, runBatch } from "../../data/batch";
import { type Measurement, useCatalog } from "../../data/catalog";
import { catalogue } from "../../data/catalogue";
import { completeBuckets } from "../../data/page";
import { dateTime, figure as figureText } from "../../data/format";
import { type Value, expand } from "../../data/queryText";
import { type Range, printTime, stepOf } from "../../data/range";
import { type Row, asObjects, rowsIn, timeOf } from "../../data/rows";
import { largest, linesOf } from "../../data/series";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";
import { useSearch, useSet, useTimes } from "../../data/url";
import { EventLane } from "../server/Events";
import { chartSql, figuresOf, groupsOf, rowsSql } from "./sql";

export function MeasurementPage(): ReactNode {
  const { measurement: name = "" } = useParams({ strict: false }) as { measurement?: string };
  const { measurements, error } = useCatalog();
  const found = measurements.find((each) => each.name === name);
  if (found) return <Explored key={name} measurement={found} />;
  return (
    <section className="panel">
      <h1>{name.slice(0, 80)}</h1>
      <p className="state">{error ? error.message : measurements.length === 0 ? "Loading …" : "There is no such measurement."}</p>
      <p><To path="/explore">All measurements</To></p>
    </section>
  );
}

/** Any measurement, drawn from its catalog entry: also one of somebody's own. */
function Explored({ measurement }: { measurement: Measurement }): ReactNode {
  const search = useSearch();
  const set = useSet();
  const times = useTimes();
  const { boot, ahead } = useSession();
  const figures = figuresOf(measurement);
  const groups = groupsOf(measurement);
  const figure = figures.find((each) => each.name === search["col"]) ?? figures[0];
  const by = groups.find((each) => each.name === search["by"])?.name ?? null;
  const server = boot.servers.find((each) => each.id === search["server"])?.id ?? null;
  const least = Math.max(boot.limits.collection_interval_seconds, 30);
  const query = useQuery({
    queryKey: ["explore", measurement.name, figure?.name, by, server, times.from, times.to],
    queryFn: async ({ signal }) => {
      const now = Date.now() + ahead;
      const step = stepOf(times.resolve(now), 1200, least);
      const range = completeBuckets(times.resolve(now), step, now, boot.limits.collection_interval_seconds);
      const sql = figure ? chartSql({ measurement, figure, by, hasServer: server !== null }, step) : null;
      const queries = [
        ...(sql ? [{ id: "chart", sql, params: [printTime(range.from), printTime(range.to), ...(server ? [server] : [])] }] : []),
        { id: "rows", sql: rowsSql(measurement, server !== null), params: server ? [server] : [] },
        { id: "events", ...happened(server, range) },
      ];
      const outcomes = new Map<string, Outcome>();
      await runBatch(queries, new Map(), (id, outcome) => outcomes.set(id, outcome), signal);
      return { range, step, outcomes, sql, params: queries[0]?.params ?? [] };
    },
    refetchInterval: times.isLive ? 30_000 : false,
  });
  const { data } = query;
  const series = useMemo(() => (data ? largest(linesOf(rowsIn(data.outcomes.get("chart")), data.range, data.step, "value", "line"), 12) : null), [data]);
  const error = query.error instanceof ApiError ? query.error : null;
  const isCounter = figure?.kind === "counter";
  return (
    <>
      <div className="title"><h1>{measurement.name}</h1><span className="muted">{measurement.title}</span></div>
      <p>{measurement.doc}</p>
      {error && <Failed error={error} again={() => void query.refetch()} />}
      <section className="panel" aria-label="Chart">
        <header>
          <label>Figure <select value={figure?.name ?? ""} onChange={(event) => set({ col: event.target.value })}>{figures.map((each) => <option key={each.name} value={each.name}>{each.name}</option>)}</select></label>
          <label>By <select value={by ?? ""} onChange={(event) => set({ by: event.target.value })}><option value="">server</option>{groups.map((each) => <option key={each.name} value={each.name}>{each.name}</option>)}</select></label>
          <label>Server <select value={server ?? ""} onChange={(event) => set({ server: event.target.value })}><option value="">all</option>{boot.servers.map((each) => <option key={each.id} value={each.id}>{each.name}</option>)}</select></label>
          <span className="grow" />
          {data?.sql && <To path="/sql" search={{ sql: data.sql, params: JSON.stringify(data.params) }} className="button">Open in the SQL console</To>}
        </header>
        {figure && <p className="muted">{figure.doc}{isCounter ? " (drawn as a rate a second)" : " (mean of each step)"}</p>}
        <Drawn outcome={data?.outcomes.get("chart")} isNone={figure === undefined}>
          {series && series.lines.length > 0 ? <TimeChart label={figure?.name ?? ""} unit={isCounter ? rateOf(figure.unit) : (figure?.unit ?? "")} series={series} step={data?.step ?? 60} height={280} /> : null}
        </Drawn>
      </section>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server} />}
      <section className="panel" aria-label="Newest rows">
        <header><h2>Newest rows</h2><span className="muted">of each key</span></header>
        <Latest measurement={measurement} outcome={data?.outcomes.get("rows")} />
      </section>
    </>
  );
}

/** The question for the events of a server, or of all. */
function happened(server: string | null, range: Range): { sql: string; params: Value[] } {
  const query = catalogue.get(server ? "events" : "fleet_events");
  if (!query) throw new Error("there is no query for events");
  return expand(query, { step: 60, values: { ...(server ? { server } : {}), from: printTime(range.from), to: printTime(range.to) } });
}

const rateOf = (unit: string): string => (unit === "bytes" ? "B/s" : "1/s");

function Drawn({ outcome, isNone, children }: { outcome: Outcome | undefined; isNone: boolean; children: ReactNode }): ReactNode {
  if (isNone) return <p className="state">This measurement has words only; its rows are below.</p>;
  if (!outcome) return <p className="state chart appear">Loading …</p>;
  if ("error" in outcome) return <Failed error={outcome.error} />;
  return children ?? <p className="state chart">No rows in this range.</p>;
}

function Latest({ measurement, outcome }: { measurement: Measurement; outcome: Outcome | undefined }): ReactNode {
  const { zone } = useSettings();
  if (!outcome) return <p className="state appear">Loading …</p>;
  if ("error" in outcome) return <Failed error={outcome.error} />;
  if (outcome.rows.rows.length === 0) return <p className="state">Nobody has sent this measurement yet.</p>;
  const columns = outcome.rows.columns.map((column): GridColumn => {
    const known = measurement.columns.find((each) => each.name === column.name);
    const isTime = column.type.startsWith("timestamp");
    const isName = known?.kind === "key" || known?.kind === "info";
    return {
      id: column.name,
      title: column.name,
      about: known?.doc ?? column.type,
      ...(known?.unit ? { unit: known.unit } : {}),
      // Ids are names that happen to be numbers.
      ...(isTime || isName ? { show: (row: Row) => (isTime && row[column.name] !== null ? dateTime(timeOf(row[column.name]), zone) : figureText(row[column.name] === null ? null : String(row[column.name]))) } : {}),
    };
  });
  return <Grid label="Newest rows" rows={asObjects(outcome.rows)} columns={columns} rowKey={(_, at) => String(at)} sort="-time" param="rsort" />;
}
