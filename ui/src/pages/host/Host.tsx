import { type ReactNode, useMemo } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn } from "../../data/rows";
import { ChartPanel } from "../ChartPanel";
import { ServerScope } from "../ServerScope";
import { Several } from "../Several";
import { EventLane } from "../server/Events";

export function Host(): ReactNode {
  return <ServerScope title="Host" of="host">{(server) => <HostOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "now", query: "host_now" },
  { id: "cpu", query: "host_cpu" },
  { id: "memory", query: "host_memory" },
  { id: "disks", query: "disks" },
  { id: "net", query: "host_net" },
  { id: "mounts", query: "mounts" },
  { id: "events", query: "events" },
];

/** A file system that is full within a day, or has hardly anything left. */
export function isTight(row: Row): boolean {
  const [left, available, size] = [numberIn(row, "seconds_to_full"), numberIn(row, "available"), numberIn(row, "size")];
  return (left !== null && left < 86_400) || (available !== null && size !== null && size > 0 && available / size < 0.1);
}

const MOUNTS: GridColumn[] = [
  { id: "mount", title: "Mounted at" },
  { id: "role", title: "Keeps", show: (row) => textIn(row, "role") || "–" },
  { id: "fstype", title: "Kind" },
  { id: "size", title: "Size", unit: "B" },
  { id: "available", title: "Available", unit: "B", show: (row) => <span className={isTight(row) ? "up" : ""}>{isTight(row) ? "! " : ""}{figure(row["available"], "B")}</span> },
  { id: "seconds_to_full", title: "Full in", unit: "s", about: "At the pace of this range" },
  { id: "inodes_free", title: "Inodes left", unit: "" },
  { id: "read_only", title: "Read only" },
];
const NOTHING = "No agent on this host has told anything in this range.";
const FACTS: GridColumn[] = [
  { id: "os", title: "System" },
  { id: "kernel", title: "Kernel" },
  { id: "virtualization", title: "Virtualization" },
  { id: "cpus", title: "Processors", unit: "" },
  { id: "memory_total", title: "Memory", unit: "B" },
  { id: "swap_total", title: "Swap", unit: "B" },
  { id: "transparent_huge_pages", title: "Huge pages" },
  { id: "overcommit_memory", title: "Overcommit", show: (row) => textIn(row, "overcommit_memory") },
  { id: "data_filesystem", title: "Data on" },
];

/** Used, full, failing? */
function HostOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("host", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const { data } = page;
  const cpus = rowsIn(data?.outcomes.get("cpu")).reduce((most, row) => Math.max(most, numberIn(row, "cpus") ?? 0), 0);
  const chart = (id: string, title: string, unit: string, value: string, by: string, nothing: string, isSum = false): ReactNode => (
    <ChartPanel title={title} note={unit} page={page} id={id} value={value} by={by} isSum={isSum} nothing={nothing} />
  );
  return (
    <>
      <PageState page={page} />
      <Panel title="What it is" id="now" page={page} nothing="No agent runs on it, or none has told yet.">
        {(rows) => <Grid label="What it is" rows={asObjects(rows)} columns={FACTS} rowKey={(row) => textIn(row, "hostname")} sort="os" param="fsort" />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <div className="grid2">
        <Several nothing={NOTHING} page={page} id="cpu" title="Processors" unit="shares of their time" of={{ usr: "user", sys: "system", iowait: "waits for disks", steal: "stolen" }} measure="ratio" isStack />
        <Several nothing={NOTHING} page={page} id="cpu" title="Load" unit="processes that run or wait" of={{ load: "load, 1 min" }} measure="" limit={cpus > 0 ? { value: cpus, label: `${cpus} processors` } : undefined} />
        <Several nothing={NOTHING} page={page} id="cpu" title="Stalled" unit="share of time in which all waited (PSI)" of={{ io_stalled: "for disks", memory_stalled: "for memory" }} measure="ratio" />
        <Several nothing={NOTHING} page={page} id="memory" title="Memory" unit="mean of each step" of={{ used: "used", cached: "cached", dirty: "dirty", swap_used: "swap used" }} measure="B" />
        {chart("disks", "Disks busy", "share of time with a request", "util", "device", "No disk is seen.", true)}
        {chart("disks", "Time of a read", "mean, by disk", "read_ms", "device", "No disk is seen.")}
        {chart("disks", "Time of a write", "mean, by disk", "write_ms", "device", "No disk is seen.")}
        {chart("net", "Received", "a second, by interface", "received", "device", "No interface is seen.", true)}
        {chart("net", "Sent", "a second, by interface", "sent", "device", "No interface is seen.", true)}
      </div>
      <Panel title="File systems" unit="of which PostgreSQL keeps something on, and the others" id="mounts" page={page} nothing="No file system is known.">
        {(rows) => <Grid label="File systems" rows={asObjects(rows)} columns={MOUNTS} rowKey={(row) => textIn(row, "mount")} sort="seconds_to_full" param="msort" />}
      </Panel>
    </>
  );
}
