// The queries of ui/queries, as their README says.

import { type CatalogueQuery, parseQuery } from "./queryText";

const files = import.meta.glob<string>("../../queries/*.sql", { query: "?raw", import: "default", eager: true });

export const catalogue: ReadonlyMap<string, CatalogueQuery> = new Map(
  Object.entries(files).map(([path, text]) => {
    const name = path.slice(path.lastIndexOf("/") + 1, -".sql".length);
    return [name, parseQuery(name, text)];
  }),
);
