import { type ReactNode, useMemo } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { usePage } from "../../data/page";
import { asObjects, rowsIn, textIn } from "../../data/rows";
import { ChartPanel } from "../ChartPanel";
import { ServerScope } from "../ServerScope";
import { roleOf } from "../fleet/Instances";
import { EventLane } from "../server/Events";

export function Replication(): ReactNode {
  return <ServerScope title="Replication">{(server) => <ReplicationOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "topology", query: "topology" },
  { id: "subscriptions", query: "subscriptions" },
  { id: "lag", query: "lag" },
  { id: "delay", query: "standby_delay" },
  { id: "conflicts", query: "conflicts" },
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
const SUBSCRIPTIONS: GridColumn[] = [
  { id: "subname", title: "Subscription" },
  { id: "datname", title: "Database" },
  { id: "worker_type", title: "Worker", show: (row) => textIn(row, "worker_type") || "–" },
  { id: "enabled", title: "Enabled", show: (row) => (row["enabled"] === false ? <span className="badge warn">! off</span> : "yes") },
  { id: "slot_name", title: "Slot" },
  { id: "last_msg_age", title: "Last message", unit: "s", about: "Time since it came" },
  { id: "apply_errors", title: "Errors applying", unit: "", about: "In this range" },
  { id: "sync_errors", title: "Errors copying", unit: "", about: "In this range" },
  { id: "conflicts", title: "Conflicts", unit: "", about: "In this range; PostgreSQL 18 counts them" },
];

/** Who feeds whom, who is behind? */
function ReplicationOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("replication", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const { data } = page;
  return (
    <>
      <PageState page={page} />
      <Panel title="Members" unit="who feeds whom, now" id="topology" page={page} nothing="Nothing is known of its members yet.">
        {(rows) => <Grid label="Members" rows={asObjects(rows)} columns={MEMBERS} rowKey={(row, at) => `${textIn(row, "instance_id")}${at}`} sort="role" param="msort" />}
      </Panel>
      <Panel title="Subscriptions" unit="now" id="subscriptions" page={page} nothing="It subscribes to nothing.">
        {(rows) => <Grid label="Subscriptions" rows={asObjects(rows)} columns={SUBSCRIPTIONS} rowKey={(row, at) => `${textIn(row, "subname")}${at}`} sort="subname" param="ssort" />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <div className="grid2">
        <ChartPanel title="Behind" note="bytes not replayed: most of each step" page={page} id="lag" value="high" by="application_name" nothing="No replica was connected." />
        <ChartPanel title="Behind, in time" note="delay of each standby; 0 where all is replayed" page={page} id="delay" value="high" by="server" step={30} nothing="No standby told its delay." />
        <ChartPanel title="Conflicts" note="queries that standbys cancelled, by database" page={page} id="conflicts" value="n" by="datname" isStack nothing="No standby cancelled a query." />
      </div>
    </>
  );
}
