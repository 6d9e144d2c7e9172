// The catalog of measurements, as the server tells it.
import { useQuery } from "@tanstack/react-query";
import { getJson } from "./api";
import { useSession } from "./session";

export interface CatalogColumn {
  name: string;
  kind: "key" | "counter" | "gauge" | "info";
  type: "text" | "int" | "float" | "bool" | "timestamp";
  unit: string;
  doc: string;
  postgres?: string;
}

export interface Measurement {
  name: string;
  title: string;
  doc: string;
  scope?: string;
  interval_seconds?: number;
  retention_seconds: number;
  presence: "state" | "append";
  columns: CatalogColumn[];
  stored?: { rows: number };
}

/** All measurements; asked anew only when the catalog is another one. */
export function useCatalog(): { measurements: Measurement[]; error: Error | null } {
  const { boot } = useSession();
  const query = useQuery({
    queryKey: ["catalog", boot.catalog_hash],
    queryFn: async ({ signal }) => (await getJson<{ data: Measurement[] }>("measurements?page_size=1000", signal)).data,
    staleTime: Infinity,
  });
  return { measurements: query.data ?? [], error: query.error };
}

/** Tables that a measurement is. */
export const tablesOf = (measurement: Measurement): string[] => [
  measurement.name,
  `${measurement.name}_latest`,
  ...(measurement.presence === "state" ? [`${measurement.name}_delta`] : []),
];
