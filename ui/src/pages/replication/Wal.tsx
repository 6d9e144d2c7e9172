import { type ReactNode, useMemo } from "react";
import { Copy } from "../../components/Copy";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { dateTime, figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn, timeOf } from "../../data/rows";
import { useSettings } from "../../data/settings";
import { ChartPanel } from "../ChartPanel";
import { ServerScope } from "../ServerScope";
import { Several } from "../Several";
import { EventLane } from "../server/Events";
import { archiveColumns } from "./archive";

export function Wal(): ReactNode {
  return <ServerScope title="WAL and slots">{(server) => <WalOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "slots", query: "slots" },
  { id: "archive", query: "archive_now" },
  { id: "kept", query: "slot_series", leastStep: 60 },
  { id: "wal", query: "wal", leastStep: 60 },
  { id: "wal_before", query: "wal", other: true, leastStep: 60 },
  { id: "folder", query: "wal_folder", leastStep: 60 },
  { id: "archived", query: "archive_series", leastStep: 60 },
  { id: "spill", query: "slot_spill", leastStep: 60 },
  { id: "checkpoints", query: "checkpoints" },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

/** The statement that ends a slot: what it keeps is let go. */
export const dropSlot = (row: Row): string => `select pg_drop_replication_slot('${textIn(row, "slot_name").replaceAll("'", "''")}');`;

const SLOTS: GridColumn[] = [
  { id: "slot_name", title: "Slot" },
  { id: "slot_type", title: "Type" },
  { id: "active", title: "Consumer", show: (row) => (row["active"] === true ? "connected" : <span className="badge warn">! none</span>) },
  { id: "inactive_since", title: "Since", show: (row) => textIn(row, "inactive_since").slice(0, 19) || "–" },
  { id: "wal_status", title: "WAL" },
  { id: "retained_bytes", title: "Kept", unit: "B" },
  { id: "safe_wal_size", title: "Until lost", unit: "B", about: "max_slot_wal_keep_size; – where it has no limit: pg_wal grows until the disk is full" },
  { id: "seconds_to_loss", title: "Lost in", unit: "s", about: "At the pace of the last hour", show: (row) => { const left = numberIn(row, "seconds_to_loss"); return left !== null && left < 3600 ? <span className="up">! {figure(left, "s")}</span> : figure(left, "s"); } },
  { id: "invalidation_reason", title: "Invalid", show: (row) => (row["invalidation_reason"] ? <span className="badge bad">✕ {textIn(row, "invalidation_reason")}</span> : "–") },
  { id: "drop", title: "Drop", value: () => null, show: (row) => (row["active"] === true ? "" : <Copy text={dropSlot(row)} label="Copy" />) },
];

/** Will the disk fill, will a consumer lose what it has not read? */
function WalOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("wal", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const { zone } = useSettings();
  const { data } = page;
  const limit = rowsIn(data?.outcomes.get("archive")).reduce((most, row) => Math.max(most, numberIn(row, "max_wal_size") ?? 0), 0);
  const checkpoints: GridColumn[] = [
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["time"]), zone) },
    { id: "reason", title: "Why" },
    { id: "buffers_written", title: "Buffers", unit: "" },
    { id: "write_time", title: "Writing", unit: "s" },
    { id: "sync_time", title: "Syncing", unit: "s" },
    { id: "longest_sync", title: "Longest", unit: "s" },
    { id: "distance", title: "WAL since", unit: "B" },
  ];
  const chart = (id: string, value: string, by: string | undefined, title: string, unit: string, nothing: string, more: object = {}): ReactNode => (
    <ChartPanel title={title} note={unit} page={page} id={id} value={value} by={by} step={60} {...more} nothing={nothing} />
  );
  return (
    <>
      <PageState page={page} />
      <Panel title="Slots" unit="now" id="slots" page={page} nothing="There are no replication slots.">
        {(rows) => <Grid label="Slots" rows={asObjects(rows)} columns={SLOTS} rowKey={(row, at) => `${textIn(row, "slot_name")}${at}`} sort="-retained_bytes" param="ssort" />}
      </Panel>
      <Panel title="Archive and pg_wal" unit="now" id="archive" page={page} nothing="Nothing is known of its members yet.">
        {(rows) => <Grid label="Archive and pg_wal" rows={asObjects(rows)} columns={archiveColumns} rowKey={(row) => textIn(row, "instance_id")} sort="server" param="asort" />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <div className="grid2">
        {chart("wal", "bytes_a_second", undefined, "WAL", "written a second", "No WAL was written.", { beforeId: "wal_before" })}
        {chart("wal", "full_page_share", undefined, "Full page images", "of all WAL records", "No WAL was written.", { beforeId: "wal_before" })}
        {chart("folder", "size", "server", "pg_wal", "size of the folder; the line is max_wal_size", "It was not measured in this range.", { limit: limit > 0 ? { value: limit, label: `max_wal_size ${figure(limit, "B")}` } : undefined })}
        {chart("kept", "kept", "slot_name", "Kept by slots", "WAL that may not be removed", "There are no replication slots.")}
        <Several page={page} id="archived" step={60} title="Archiver" unit="in each step" of={{ archived: "segments archived", failed: "attempts failed" }} measure="" nothing="No segment was archived." />
        {chart("folder", "waiting", "server", "Waiting for the archiver", "segments", "It was not measured in this range.")}
        {chart("spill", "spilled", "slot_name", "Spilled by logical decoding", "bytes a second, to disk", "There are no logical slots.")}
      </div>
      <Panel title="Checkpoints" unit="from the log" id="checkpoints" page={page} nothing="The log has no checkpoint in this range; log_checkpoints = on logs them.">
        {(rows) => <Grid label="Checkpoints" rows={asObjects(rows)} columns={checkpoints} rowKey={(row, at) => `${textIn(row, "time")}${at}`} sort="-time" param="csort" />}
      </Panel>
    </>
  );
}
