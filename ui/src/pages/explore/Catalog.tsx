import type { ReactNode } from "react";
import { useGo } from "../../app/go";
import { Filter } from "../../components/Filter";
import { Grid, type GridColumn } from "../../components/Grid";
import { To } from "../../components/To";
import { useCatalog } from "../../data/catalog";
import { type Row, textIn } from "../../data/rows";
import { useSearch } from "../../data/url";

const COLUMNS: GridColumn[] = [
  { id: "name", title: "Measurement", show: (row) => <To path={`/explore/${textIn(row, "name")}`}>{textIn(row, "name")}</To> },
  { id: "title", title: "What it is" },
  { id: "scope", title: "Taken of" },
  { id: "interval", title: "Every", unit: "s" },
  { id: "retention", title: "Kept", unit: "s" },
  { id: "rows", title: "Rows stored", unit: "" },
];

/** Everything that is measured. */
export function Catalog(): ReactNode {
  const go = useGo();
  const search = useSearch();
  const { measurements, error } = useCatalog();
  const words = (search["q"] ?? "").toLowerCase();
  const rows = measurements
    .filter((each) => `${each.name} ${each.title} ${each.doc}`.toLowerCase().includes(words))
    .map((each): Row => ({
      name: each.name,
      title: each.title,
      scope: each.scope ?? "your own",
      interval: each.interval_seconds ?? null,
      retention: each.retention_seconds,
      rows: each.stored?.rows ?? null,
    }));
  return (
    <>
      <div className="title"><h1>Explore</h1><span className="muted">{measurements.length} measurements, and those that you add</span></div>
      <Filter label="Filter measurements" />
      <section className="panel" aria-label="Measurements">
        {error ? <p className="state" role="alert">{error.message}</p> : <Grid label="Measurements" rows={rows} columns={COLUMNS} rowKey={(row) => textIn(row, "name")} open={(row) => go(`/explore/${textIn(row, "name")}`)} sort="name" />}
      </section>
    </>
  );
}
