import { Copy } from "../../components/Copy";
import type { GridColumn } from "../../components/Grid";
import { figure } from "../../data/format";
import { type Row, textIn, timeOf } from "../../data/rows";
import { ago } from "../../data/why";
import { type Verdict, dropOf } from "./indexes";

/** What there is to say of an index. */
export const indexColumns = (verdicts: Map<Row, Verdict>, now: number): GridColumn[] => [
  { id: "indexrelname", title: "Index", show: (row) => <strong>{textIn(row, "indexrelname")}</strong> },
  { id: "relname", title: "Table" },
  { id: "database_name", title: "Database" },
  { id: "verdict", title: "Verdict", value: (row) => verdicts.get(row), show: (row) => { const verdict = verdicts.get(row); return verdict === "used" ? "used" : <span className="badge warn">! {verdict}</span>; } },
  { id: "size", title: "Size", unit: "B" },
  { id: "bloat_size", title: "Bloat", unit: "B", show: (row) => (row["bloat_size"] === null ? "unknown" : `${figure(row["bloat_size"], "B")} ${textIn(row, "method")}`) },
  { id: "scans", title: "Scans", unit: "", about: "In this range, on all members" },
  { id: "last_idx_scan", title: "Last scan", value: (row) => (row["last_idx_scan"] ? timeOf(row["last_idx_scan"]) : null), show: (row) => (row["last_idx_scan"] ? ago(timeOf(row["last_idx_scan"]), now) : "not known") },
  { id: "amname", title: "Kind" },
  { id: "indisunique", title: "Unique" },
  { id: "drop", title: "Drop", value: () => null, show: (row) => (verdicts.get(row) === "used" ? "" : <Copy text={dropOf(row)} label="Copy" />) },
];
