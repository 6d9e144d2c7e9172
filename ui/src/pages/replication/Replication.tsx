import { type ReactNode, useMemo } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { dateTime, figure } from "../../data/format";
import { usePage } from "../../data/page";
import { asObjects, numberIn, rowsIn, textIn, timeOf } from "../../data/rows";
import { useSettings } from "../../data/settings";
import { SeriesChart } from "../SeriesChart";
import { ServerScope } from "../ServerScope";
import { roleOf } from "../fleet/Instances";
import { EventLane } from "../server/Events";

export function Replication(): ReactNode {
  return <ServerScope title="Replication and WAL">{(server) => <ReplicationOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "topology", query: "topology" },
  { id: "slots", query: "slots" },
  { id: "lag", query: "lag" },
  { id: "wal", query: "wal" },
  { id: "wal_before", query: "wal", other: true },
  { id: "checkpoints", query: "checkpoints" },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

const MEMBERS: GridColumn[] = [
  { id: "server", title: "Member" },
  { id: "role", title: "Role", value: roleOf },
  { id: "timeline", title: "Timeline", show: (row) => textIn(row, "timeline") },
  { id: "application_name", title: "Feeds", show: (row) => [textIn(row, "application_name"), textIn(row, "client_addr")].filter(Boolean).join(" at ") || "–" },
  { id: "state", title: "State", show: (row) => [textIn(row, "state"), textIn(row, "sync_state")].filter(Boolean).join(", ") || "–" },
  { id: "sent_lag_bytes", title: "Not sent", unit: "B" },
  { id: "flush_lag_bytes", title: "Not flushed", unit: "B" },
  { id: "replay_lag_bytes", title: "Not replayed", unit: "B" },
  { id: "sender_host", title: "Fed by", show: (row) => [textIn(row, "sender_host"), textIn(row, "receives_by")].filter(Boolean).join(", slot ") || "–" },
  { id: "own_delay", title: "Own delay", unit: "s" },
  { id: "paused", title: "Replay", show: (row) => (row["paused"] === true ? <span className="badge warn">! paused</span> : row["in_recovery"] === true ? "runs" : "–") },
];
const SLOTS: GridColumn[] = [
  { id: "slot_name", title: "Slot" },
  { id: "slot_type", title: "Type" },
  { id: "active", title: "Consumer", show: (row) => (row["active"] === true ? "connected" : <span className="badge warn">! none</span>) },
  { id: "wal_status", title: "WAL" },
  { id: "retained_bytes", title: "Kept", unit: "B" },
  { id: "safe_wal_size", title: "Until lost", unit: "B", about: "max_slot_wal_keep_size; – where it has no limit" },
  { id: "seconds_to_loss", title: "Lost in", unit: "s", about: "At the pace of the last hour", show: (row) => { const left = numberIn(row, "seconds_to_loss"); return left !== null && left < 3600 ? <span className="up">! {figure(left, "s")}</span> : figure(left, "s"); } },
  { id: "invalidation_reason", title: "Invalid", show: (row) => (row["invalidation_reason"] ? <span className="badge bad">✕ {textIn(row, "invalidation_reason")}</span> : "–") },
];

/** Will I lose data, will the disk fill, who is behind? */
function ReplicationOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("replication", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const { zone } = useSettings();
  const { data } = page;
  const checkpoints: GridColumn[] = [
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["time"]), zone) },
    { id: "reason", title: "Why" },
    { id: "buffers_written", title: "Buffers", unit: "" },
    { id: "write_time", title: "Writing", unit: "s" },
    { id: "sync_time", title: "Syncing", unit: "s" },
    { id: "distance", title: "WAL since", unit: "B" },
  ];
  return (
    <>
      <PageState page={page} />
      <Panel title="Members" unit="who feeds whom, now" id="topology" page={page} nothing="Nothing is known of its members yet.">
        {(rows) => <Grid label="Members" rows={asObjects(rows)} columns={MEMBERS} rowKey={(row, at) => `${textIn(row, "instance_id")}${at}`} sort="role" param="msort" />}
      </Panel>
      <Panel title="Slots" unit="now" id="slots" page={page} nothing="There are no replication slots.">
        {(rows) => <Grid label="Slots" rows={asObjects(rows)} columns={SLOTS} rowKey={(row, at) => `${textIn(row, "slot_name")}${at}`} sort="-retained_bytes" param="ssort" />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} />}
      <div className="grid2">
        <Panel title="Behind" unit="bytes not replayed: most of each step" id="lag" page={page} nothing="No replica was connected." isChart>
          {() => data && <SeriesChart page={data} id="lag" value="high" by="application_name" label="Behind" />}
        </Panel>
        <Panel title="WAL" unit="written a second" id="wal" page={page} nothing="No WAL was written." isChart>
          {() => data && <SeriesChart page={data} id="wal" beforeId="wal_before" value="bytes_a_second" label="WAL" />}
        </Panel>
        <Panel title="Full page images" unit="of all WAL records" id="wal" page={page} nothing="No WAL was written." isChart>
          {() => data && <SeriesChart page={data} id="wal" beforeId="wal_before" value="full_page_share" label="Full page images" />}
        </Panel>
      </div>
      <Panel title="Checkpoints" unit="from the log" id="checkpoints" page={page} nothing="The log has no checkpoint in this range; log_checkpoints = on logs them.">
          {(rows) => <Grid label="Checkpoints" rows={asObjects(rows)} columns={checkpoints} rowKey={(row, at) => `${textIn(row, "time")}${at}`} sort="-time" param="csort" />}
        </Panel>
    </>
  );
}
