import { type ReactNode, useMemo } from "react";
import { FactList } from "../../components/FactList";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn } from "../../data/rows";
import { ChartPanel } from "../ChartPanel";
import { ServerScope } from "../ServerScope";
import { EventLane } from "../server/Events";

export function Pooler(): ReactNode {
  return <ServerScope title="Pooler" of="pooler">{(server) => <PoolerOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "now", query: "pooler_now" },
  { id: "pools_now", query: "pools_now" },
  { id: "pools", query: "pools" },
  { id: "rates", query: "pooler_rates", leastStep: 60 },
  { id: "rates_before", query: "pooler_rates", other: true, leastStep: 60 },
  { id: "clients", query: "pooler_clients" },
  { id: "config", query: "pooler_config" },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

/** Whether clients wait because all servers of the pool are taken. */
export const isExhausted = (row: Row): boolean => {
  const size = numberIn(row, "pool_size");
  return (numberIn(row, "cl_waiting") ?? 0) > 0 && size !== null && (numberIn(row, "sv_active") ?? 0) >= size;
};

const POOLS: GridColumn[] = [
  { id: "database", title: "Database" },
  { id: "user", title: "User" },
  { id: "cl_waiting", title: "Waiting", unit: "", about: "Clients that wait for a server", show: (row) => ((numberIn(row, "cl_waiting") ?? 0) > 0 ? <span className="up">! {figure(row["cl_waiting"])}</span> : figure(row["cl_waiting"])) },
  { id: "maxwait", title: "Longest", unit: "s", about: "The client that waits longest" },
  { id: "cl_active", title: "Clients", unit: "" },
  { id: "sv_active", title: "Servers busy", unit: "", show: (row) => <span className={isExhausted(row) ? "up" : ""}>{isExhausted(row) ? "! " : ""}{figure(row["sv_active"])}{row["pool_size"] === null ? "" : ` of ${figure(row["pool_size"])}`}</span> },
  { id: "sv_idle", title: "Idle", unit: "" },
  { id: "pool_mode", title: "Mode" },
  { id: "state", title: "State", value: (row) => (row["paused"] === true ? "paused" : row["disabled"] === true ? "disabled" : "open"), show: (row) => (row["paused"] === true || row["disabled"] === true ? <span className="badge warn">! {row["paused"] === true ? "paused" : "disabled"}</span> : "open") },
];
const CLIENTS: GridColumn[] = [
  { id: "application_name", title: "Application", show: (row) => textIn(row, "application_name") || "(none)" },
  { id: "database", title: "Database" },
  { id: "user", title: "User" },
  { id: "state", title: "State" },
  { id: "connections", title: "Connections", unit: "" },
  { id: "max_wait", title: "Longest wait", unit: "s" },
  { id: "tls_connections", title: "With TLS", unit: "" },
];
const CONFIG: GridColumn[] = [
  { id: "key", title: "Setting" },
  { id: "value", title: "Value" },
  { id: "default_value", title: "Default" },
  { id: "changeable", title: "Without restart" },
];

/** Who waits, and for which pool? */
function PoolerOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("pooler", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const { data } = page;
  const chart = (id: string, value: string, by: string, title: string, unit: string, nothing: string, isStack = false): ReactNode => (
    <ChartPanel title={title} note={unit} page={page} id={id} {...(id === "rates" ? { beforeId: "rates_before", step: 60 } : {})} value={value} by={by} isStack={isStack} nothing={nothing} />
  );
  return (
    <>
      <PageState page={page} />
      <Panel title="What it is" unit="now" id="now" page={page} nothing="No pooler tells anything here.">
        {(rows) => <Now row={asObjects(rows)[0]} />}
      </Panel>
      <Panel title="Pools" unit="now, who waits first" id="pools_now" page={page} nothing="It has no pool: no client has connected yet.">
        {(rows) => <Grid label="Pools" rows={asObjects(rows)} columns={POOLS} rowKey={(row) => `${textIn(row, "database")}|${textIn(row, "user")}`} sort="-cl_waiting" />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <div className="grid2">
        {chart("pools", "waiting", "database", "Clients that wait", "on average, by database", "No pool was seen.", true)}
        {chart("pools", "longest", "database", "Longest wait", "of any client, by database", "No pool was seen.")}
        {chart("pools", "busy", "database", "Servers busy", "on average, by database", "No pool was seen.", true)}
        {chart("rates", "tps", "database", "Transactions", "a second, by database", "No transaction ended.", true)}
        {chart("rates", "query_s", "database", "Time of a query", "mean, by database", "No query ended.")}
        {chart("rates", "wait_s", "database", "Wait for a server", "mean, by database", "No client was given a server.")}
      </div>
      <div className="grid2">
        <Panel title="Clients" unit="now, by application" id="clients" page={page} nothing="No client is connected.">
          {(rows) => <Grid label="Clients" rows={asObjects(rows)} columns={CLIENTS} rowKey={(_, at) => String(at)} sort="-connections" param="csort" />}
        </Panel>
        <Panel title="Settings" unit="that are not as they come" id="config" page={page} nothing="All its settings are as they come.">
          {(rows) => <Grid label="Settings" rows={asObjects(rows)} columns={CONFIG} rowKey={(row) => textIn(row, "key")} sort="key" param="ksort" />}
        </Panel>
      </div>
    </>
  );
}

function Now({ row }: { row: Row | undefined }): ReactNode {
  const isDown = row?.["up"] === false;
  const [clients, most] = [numberIn(row, "clients"), Number(textIn(row, "max_client_conn") || Number.NaN)];
  const part = clients !== null && most > 0 ? clients / most : 0;
  return (
    <FactList
      facts={[
        { title: "State", value: isDown ? `down: ${textIn(row, "error") || "no reason given"}` : "answers", level: isDown ? "bad" : "" },
        { title: "Version", value: textIn(row, "version") || "–" },
        { title: "Connects in", value: figure(row?.["connect_ms"], "ms") },
        { title: "Clients", value: `${figure(clients)}${most > 0 ? ` of ${figure(most)}` : ""}`, level: part >= 0.9 ? "bad" : part >= 0.75 ? "warn" : "", about: "max_client_conn" },
        { title: "Servers", value: figure(row?.["servers"]) },
        { title: "Pool mode", value: textIn(row, "pool_mode") || "–" },
        { title: "Pool size", value: textIn(row, "default_pool_size") || "–" },
      ]}
    />
  );
}
