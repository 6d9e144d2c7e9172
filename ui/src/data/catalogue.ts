// The queries of ui/queries, as their README says.

const files = import.meta.glob<string>("../../queries/*.sql", { query: "?raw", import: "default", eager: true });

export interface CatalogueQuery {
  name: string;
  title: string;
  kind: string;
  needs: string[];
  params: string[];
  /** Units by column; columns without one are not there. */
  units: Record<string, string>;
  sql: string;
}

export function parseQuery(name: string, text: string): CatalogueQuery {
  const about: Record<string, string> = {};
  const lines = text.split("\n");
  let [at, last] = [0, "title"];
  for (; at < lines.length && lines[at]?.startsWith("--"); at += 1) {
    const line = (lines[at] ?? "").slice(2);
    const found = /^ (\w+): ?(.*)$/.exec(line);
    if (at === 0) about["title"] = line.trim();
    else if (line.startsWith("   ")) about[last] += ` ${line.trim()}`;
    else if (found?.[1]) {
      last = found[1];
      about[last] = found[2] ?? "";
    }
  }
  const words = (key: string): string[] => (about[key] ?? "").split(/\s+/).filter(Boolean);
  const units = words("columns").map((column) => column.split(":"));
  return {
    name,
    title: about["title"] ?? name,
    kind: about["kind"] ?? "table",
    needs: words("needs"),
    params: words("params"),
    units: Object.fromEntries(units.flatMap(([column, unit]) => (column && unit ? [[column, unit]] : []))),
    sql: lines.slice(at).join("\n").trim(),
  };
}

export const catalogue: ReadonlyMap<string, CatalogueQuery> = new Map(
  Object.entries(files).map(([path, text]) => {
    const name = path.slice(path.lastIndexOf("/") + 1, -".sql".length);
    return [name, parseQuery(name, text)];
  }),
);

export type Value = string | number | boolean | null;

/** What a query is run with: values of its parameters, and the step of its chart. */
export interface Given {
  values: Record<string, Value>;
  step: number;
}

/** The text for the server and its parameters. Values never become part of the text. */
export function expand(query: CatalogueQuery, { values, step }: Given): { sql: string; params: Value[] } {
  const number = (param: string): string => {
    const at = query.params.indexOf(param);
    if (at < 0) throw new Error(`${query.name}: ${param} is no parameter`);
    return `$${at + 1}`;
  };
  const seconds = String(Math.max(1, Math.round(step)));
  const sql = query.sql.replace(/\{(\w+)\}/g, (_, word: string) => {
    switch (word) {
      case "S":
        return `server_id = ${number("server")}`;
      case "R":
        return `time >= ${number("from")} and time < ${number("to")}`;
      case "T":
        return `date_bin(interval '${seconds} seconds', time, timestamp '2000-01-01')`;
      case "step":
        return seconds;
      default:
        return number(word);
    }
  });
  const params = query.params.map((param) => {
    const value = values[param];
    if (value === undefined) throw new Error(`${query.name}: no value for ${param}`);
    return value;
  });
  return { sql, params };
}
