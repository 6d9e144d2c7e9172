// What a file of ui/queries says, and the text that is made of it.

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

export type Value = string | number | boolean | null;

/** What a query is run with: values of its parameters, and the step of its chart. */
export interface Given {
  values: Record<string, Value>;
  step: number;
}

/** The text for the server and its parameters. Values never become part of the text. */
export function expand(query: CatalogueQuery, { values, step }: Given): { sql: string; params: Value[] } {
  const sql = written(query, String(Math.max(1, Math.round(step))));
  const params = query.params.map((param) => {
    const value = values[param];
    if (value === undefined) throw new Error(`${query.name}: no value for ${param}`);
    return value;
  });
  return { sql, params };
}

/** The text with the step where it is said; the build gives the server all of them, with `{n}` for the step. */
export function written(query: CatalogueQuery, seconds: string): string {
  const number = (param: string): string => {
    const at = query.params.indexOf(param);
    if (at < 0) throw new Error(`${query.name}: ${param} is no parameter`);
    return `$${at + 1}`;
  };
  return query.sql.replace(/\{(\w+)\}/g, (_, word: string) => {
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
}
