// Queries over any measurement, from its catalog entry. Names come from the catalog and are quoted.
import type { CatalogColumn, Measurement } from "../../data/catalog";

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Columns that a person can put on a chart. */
export const figuresOf = (measurement: Measurement): CatalogColumn[] =>
  measurement.columns.filter((column) => (column.type === "int" || column.type === "float") && (column.kind === "gauge" || (column.kind === "counter" && measurement.presence === "state")));

/** Columns that tell rows apart, and are words. */
export const groupsOf = (measurement: Measurement): CatalogColumn[] =>
  measurement.columns.filter((column) => column.type === "text" && (column.kind === "key" || column.kind === "info"));

export interface Drawn {
  measurement: Measurement;
  figure: CatalogColumn;
  by: string | null;
  hasServer: boolean;
}

/** Counters become rates, gauges their mean; `$1`, `$2`: the range, `$3`: a server. */
export function chartSql({ measurement, figure, by, hasServer }: Drawn, step: number): string {
  const isCounter = figure.kind === "counter";
  const value = isCounter ? `sum(${quoted(figure.name)}) / ${step}.0` : `avg(${quoted(figure.name)})`;
  const group = by ? quoted(by) : "server";
  return [
    `select date_bin(interval '${step} seconds', time, timestamp '2000-01-01') as t, ${group} as line, ${value} as value`,
    `from ${quoted(measurement.name + (isCounter ? "_delta" : ""))}`,
    `where time >= $1 and time < $2${hasServer ? " and server_id = $3" : ""}`,
    "group by 1, 2 order by 1",
  ].join("\n");
}

/** The newest rows. */
export function rowsSql(measurement: Measurement, hasServer: boolean): string {
  const columns = ["time", "server", "database_name", ...measurement.columns.map((column) => column.name)];
  const names = columns.filter((name, at) => columns.indexOf(name) === at).map(quoted);
  return [`select ${names.join(", ")}`, `from ${quoted(`${measurement.name}_latest`)}`, ...(hasServer ? ["where server_id = $1"] : []), "order by time desc", "limit 1000"].join("\n");
}
