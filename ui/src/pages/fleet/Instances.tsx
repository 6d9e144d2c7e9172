import { type ReactNode, useMemo } from "react";
import { useGo } from "../../app/go";
import { Spark } from "../../charts/Spark";
import { Grid, type GridColumn } from "../../components/Grid";
import { To } from "../../components/To";
import { figure, version } from "../../data/format";
import { type Row, numberIn, textIn, timeOf } from "../../data/rows";
import type { Series } from "../../data/series";
import { useSession } from "../../data/session";
import { problemsOf } from "./problems";

interface Props {
  rows: Row[];
  load: Series | null;
  slug: (id: string) => string;
}

/** State and words for it: colour alone says nothing. */
function State({ row }: { row: Row }): ReactNode {
  const worst = problemsOf([row])[0];
  if (row["up"] === false) return <span className="badge bad" title={textIn(row, "error")}>✕ down</span>;
  if (worst) return <span className={`badge ${worst.level}`} title={worst.words}>{worst.level === "bad" ? "✕ act" : "! look"}</span>;
  return <span className="badge good">✓ up</span>;
}

export const roleOf = (row: Row): string => (row["in_recovery"] === true ? "standby" : row["in_recovery"] === false ? "primary" : "–");

/** A figure that says its limit where it is over it. */
function limited(row: Row, name: string, limit: number, unit: string): ReactNode {
  const value = numberIn(row, name);
  const isOver = value !== null && value >= limit;
  return <span className={isOver ? "up" : ""} title={isOver ? `limit ${figure(limit, unit)}` : undefined}>{isOver ? "! " : ""}{figure(value, unit)}</span>;
}

/** Every instance of every server. */
export function Instances({ rows, load, slug }: Props): ReactNode {
  const go = useGo();
  const { ahead } = useSession();
  const lines = useMemo(() => new Map(load?.lines.map((line) => [line.label, line.values])), [load]);
  const top = Math.max(1, ...[...lines.values()].flat().map((value) => value ?? 0));
  const loadOf = (row: Row): (number | null)[] => lines.get(textIn(row, "server_id")) ?? [];
  const columns: GridColumn[] = [
    { id: "server", title: "Server", show: (row) => <To path={`/s/${slug(textIn(row, "server_id"))}/overview`}>{textIn(row, "server")}</To> },
    { id: "state", title: "State", value: (row) => problemsOf([row])[0]?.weight ?? 0, show: (row) => <State row={row} /> },
    { id: "role", title: "Role", value: roleOf },
    { id: "server_version_num", title: "Version", unit: "", show: (row) => version(row["server_version_num"]) },
    {
      id: "load",
      title: "Load",
      value: (row) => loadOf(row).findLast((value) => value !== null) ?? null,
      show: (row) => (row["in_recovery"] === false && loadOf(row).length > 0 ? <Spark values={loadOf(row)} top={top} label={`Load of ${textIn(row, "server")}`} /> : ""),
    },
    { id: "backends", title: "Connections", unit: "", show: (row) => `${figure(numberIn(row, "backends"))} / ${figure(numberIn(row, "max_connections"))}` },
    { id: "waiting", title: "Waiting", unit: "", about: "Sessions that wait for a lock", show: (row) => limited(row, "waiting", 1, "") },
    { id: "lag", title: "Lag", unit: "s", about: "How far a standby is behind", show: (row) => limited(row, "lag", 60, "s") },
    { id: "freeze", title: "Freeze", unit: "ratio", about: "Age of the oldest database, of autovacuum_freeze_max_age", show: (row) => limited(row, "freeze", 1, "ratio") },
    { id: "failing", title: "Failing", unit: "", about: "Measurements that fail", show: (row) => limited(row, "failing", 1, "") },
    { id: "start_time", title: "Up for", unit: "s", value: (row) => (row["start_time"] ? (Date.now() + ahead - timeOf(row["start_time"])) / 1000 : null) },
  ];
  return (
    <Grid label="Instances" rows={rows} columns={columns} rowKey={(row) => textIn(row, "instance_id")} open={(row) => go(`/s/${slug(textIn(row, "server_id"))}/overview`)} sort="-state" />
  );
}
