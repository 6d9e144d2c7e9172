import type { ReactNode } from "react";
import { useGo } from "../../app/go";
import { Grid, type GridColumn } from "../../components/Grid";
import { To } from "../../components/To";
import type { ServerInfo } from "../../data/api";
import { figure, oneLine, percent } from "../../data/format";
import { type Row, textIn } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { useSession } from "../../data/session";
import { METRICS, deltaOf, fateOf, isLowerBound, meanChange } from "./figures";

interface Props {
  rows: Row[];
  /** Whose they are; null: each row says it. */
  server: ServerInfo | null;
  isCompared: boolean;
  isChanged: boolean;
}

function Change({ row }: { row: Row }): ReactNode {
  const delta = deltaOf(row);
  const sign = delta > 0 ? "▲" : delta < 0 ? "▼" : "";
  return <span className={delta > 0 ? "up" : "down"}>{isLowerBound(row) ? "≥ " : ""}{sign} {figure(Math.abs(delta), "ms")}</span>;
}

function compared(): GridColumn[] {
  return [
    { id: "delta", title: "Δ time", unit: "ms", about: "Time of this period less that of the other", value: (row) => Math.abs(deltaOf(row)), show: (row) => <Change row={row} /> },
    {
      id: "dmean",
      title: "Δ mean",
      unit: "%",
      value: meanChange,
      show: (row) => {
        const fate = fateOf(row);
        if (fate !== "both") return <span className={fate === "new" ? "badge warn" : "badge"}>{fate}</span>;
        const value = meanChange(row);
        return value === null ? "–" : <span className={value > 0 ? "up" : "down"}>{percent(value)}</span>;
      },
    },
  ];
}

/** Statements with their figures; a row leads to its page. */
export function List({ rows, server, isCompared, isChanged }: Props): ReactNode {
  const go = useGo();
  const { boot } = useSession();
  const slug = (row: Row): string => slugOf(server ?? boot.servers.find((each) => each.id === row["server_id"]) ?? { id: textIn(row, "server_id"), name: textIn(row, "server") });
  const path = (row: Row): string => `/s/${slug(row)}/queries/${textIn(row, "queryid")}`;
  const metrics = METRICS.map((metric): GridColumn => ({
    id: metric.id,
    title: metric.title,
    unit: metric.unit,
    about: metric.about,
    value: metric.value,
    show: (row) => `${isLowerBound(row) && metric.id !== "mean" && metric.value(row) !== null ? "≥ " : ""}${figure(metric.value(row), metric.unit)}`,
  }));
  const columns: GridColumn[] = [
    { id: "query", title: "Statement", isWide: true, show: (row) => <To path={path(row)} className="cut mono" title={oneLine(row["query"], 600)}>{oneLine(row["query"] ?? `queryid ${textIn(row, "queryid")}`, 160)}</To> },
    ...(server ? [] : [{ id: "server", title: "Server" }]),
    { id: "datname", title: "Database" },
    { id: "usename", title: "User" },
    ...(isCompared ? compared() : []),
    ...metrics,
  ];
  if (rows.length === 0) return <p className="state">No statement has these words.</p>;
  return (
    <Grid label="Statements" rows={rows} columns={columns} rowKey={(row, at) => `${textIn(row, "queryid")}|${textIn(row, "datname")}|${textIn(row, "usename")}|${at}`} open={(row) => go(path(row))} sort={isChanged ? "-delta" : "-ms"} />
  );
}
