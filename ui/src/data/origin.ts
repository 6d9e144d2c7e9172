// What is behind the figures of a panel: what PostgreSQL said, and what was made of it.
import type { BatchQuery } from "./batch";
import type { Measurement } from "./catalog";
import type { Value } from "./queryText";

/** Measurements that are looked into; a panel seldom has more. */
const MOST = 3;
/** Rows of each table; the newest. */
const ROWS = 20;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** How far the rows of a panel go: its own parameters, by name. */
export type Bounds = Record<string, Value>;

/** A table of rows behind a panel. */
export interface Behind {
  measurement: Measurement;
  /** Its counters as they were read, their increases, or how sure these are. */
  what: "read" | "increases" | "quality";
  query: BatchQuery;
}

/** Conditions that choose the rows of the panel, as far as its parameters say; `$n` in their order. */
function conditions(measurement: Measurement, bounds: Bounds): { where: string; params: Value[] } {
  const params: Value[] = [];
  const is = (left: string, value: Value): string => `${left} $${params.push(value)}`;
  const parts: string[] = [];
  const { server, from, to } = bounds;
  if (server !== undefined) parts.push(is("server_id =", server));
  if (from !== undefined) parts.push(is("time >=", from));
  if (to !== undefined) parts.push(is("time <", to));
  for (const { name, kind, type } of measurement.columns) {
    const value = bounds[name];
    if (kind !== "key" || value === undefined || value === null) continue;
    // Ids are texts here: the numbers of JavaScript are exact up to 2^53 only.
    parts.push(is(type === "text" ? `${quoted(name)} =` : `cast(${quoted(name)} as text) =`, String(value)));
  }
  return { where: parts.length > 0 ? ` where ${parts.join(" and ")}` : "", params };
}

/** The questions for the rows behind a panel of these measurements. */
export function behind(needs: readonly string[], known: readonly Measurement[], bounds: Bounds): Behind[] {
  const found = needs.flatMap((name) => known.find((each) => each.name === name) ?? []).slice(0, MOST);
  return found.flatMap((measurement) => {
    const { where, params } = conditions(measurement, bounds);
    // Without a range the panel is about the present.
    const isPresent = bounds["from"] === undefined;
    const keys = measurement.columns.filter((column) => column.kind === "key");
    const figures = measurement.columns.filter((column) => column.kind === "counter" || column.kind === "gauge");
    const counters = figures.filter((column) => column.kind === "counter");
    const list = (columns: { name: string; type: string; kind: string }[]): string =>
      columns.map(({ name, type, kind }) => (kind === "key" && type === "int" ? `cast(${quoted(name)} as text) as ${quoted(name)}` : quoted(name))).join(", ");
    const one = (what: Behind["what"], sql: string): Behind => ({ measurement, what, query: { id: `${measurement.name} ${what}`, sql, params, max_rows: ROWS } });
    const newest = `order by time desc limit ${ROWS}`;
    const read = one("read", `select ${["time", "server", ...(keys.length + figures.length > 0 ? [list([...keys, ...figures])] : [])].join(", ")} from ${quoted(isPresent ? `${measurement.name}_latest` : measurement.name)}${where} ${newest}`);
    if (isPresent || measurement.presence !== "state" || counters.length === 0) return [read];
    const delta = quoted(`${measurement.name}_delta`);
    return [
      read,
      one("increases", `select time, server, delta_seconds, delta_quality, ${list([...keys, ...counters])} from ${delta}${where} ${newest}`),
      one("quality", `select delta_quality, count(*) as rows, min(time) as first, max(time) as last from ${delta}${where} group by delta_quality order by delta_quality`),
    ];
  });
}
