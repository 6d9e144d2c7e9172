import { type ReactNode, useMemo } from "react";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { dateTime, figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn, timeOf } from "../../data/rows";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";
import { ago } from "../../data/why";
import { ServerScope } from "../ServerScope";
import { Several } from "../Several";
import { archiveColumns } from "../replication/archive";
import { EventLane } from "../server/Events";
import { isStale } from "./stale";

export function Backups(): ReactNode {
  return <ServerScope title="Backups" of="backups">{(server) => <BackupsOf key={server.id} server={server} />}</ServerScope>;
}

const ASKS = [
  { id: "stanzas", query: "backup_stanzas" },
  { id: "list", query: "backup_list" },
  { id: "archive", query: "archive_now" },
  { id: "archived", query: "archive_series", leastStep: 60 },
  { id: "events", query: "events" },
  { id: "why", query: "why" },
];

function stanzaColumns(now: number): GridColumn[] {
  const when = (name: string) => (row: Row): ReactNode => {
    if (!row[name]) return <span className="badge bad">✕ never</span>;
    const words = ago(timeOf(row[name]), now);
    return isStale(row, now) ? <span className="up">! {words}</span> : words;
  };
  return [
    { id: "stanza", title: "Stanza" },
    { id: "repo", title: "Repository", show: (row) => textIn(row, "repo") },
    { id: "status", title: "Status", show: (row) => (numberIn(row, "status_code") === 0 ? <span className="badge good">✓ {textIn(row, "status")}</span> : <span className="badge bad">✕ {textIn(row, "status")}</span>) },
    { id: "last_backup", title: "Last backup", show: when("last_backup") },
    { id: "last_full", title: "Last full", show: when("last_full") },
    { id: "backups", title: "Backups", unit: "" },
    { id: "failed_backups", title: "With errors", unit: "", show: (row) => ((numberIn(row, "failed_backups") ?? 0) > 0 ? <span className="up">! {figure(row["failed_backups"])}</span> : figure(row["failed_backups"])) },
    { id: "wal_covers_backups", title: "WAL since the oldest", about: "Whether each of its backups could be brought up to the last segment", show: (row) => (row["wal_covers_backups"] === false ? <span className="badge bad">✕ has gaps</span> : row["wal_covers_backups"] === true ? "is there" : "–") },
    { id: "wal_max", title: "Up to segment" },
    { id: "last_duration", title: "Took", unit: "s" },
    { id: "last_size", title: "Database", unit: "B" },
    { id: "last_repo_size", title: "Stored", unit: "B" },
    { id: "cipher", title: "Encryption", show: (row) => textIn(row, "cipher") || "–" },
    { id: "running", title: "Running", value: (row) => row["backup_done_bytes"], show: (row) => (row["backup_running"] === true ? `${figure(row["backup_done_bytes"], "B")} of ${figure(row["backup_total_bytes"], "B")}` : "–") },
  ];
}

/** What could be restored, to when, at what loss? */
function BackupsOf({ server }: { server: ServerInfo }): ReactNode {
  const page = usePage("backups", useMemo(() => ({ asks: ASKS, values: { server: server.id } }), [server.id]));
  const { ahead } = useSession();
  const { zone } = useSettings();
  const { data } = page;
  const list: GridColumn[] = [
    { id: "started_at", title: "Started", show: (row) => dateTime(timeOf(row["started_at"]), zone) },
    { id: "label", title: "Label" },
    { id: "stanza", title: "Stanza" },
    { id: "type", title: "Type" },
    { id: "error", title: "Result", show: (row) => (row["error"] === true ? <span className="badge bad">✕ with errors</span> : "good") },
    { id: "duration", title: "Took", unit: "s" },
    { id: "size", title: "Database", unit: "B" },
    { id: "delta", title: "Copied", unit: "B" },
    { id: "repo_size", title: "Stored", unit: "B" },
    { id: "repo_delta", title: "Added", unit: "B" },
    { id: "wal_stop", title: "Consistent at" },
  ];
  return (
    <>
      <PageState page={page} />
      <Panel title="Stanzas" unit="of pgBackRest, now" id="stanzas" page={page} nothing="No agent sees a repository of pgBackRest with this cluster: let one run where `pgbackrest info` does.">
        {(rows) => <Grid label="Stanzas" rows={asObjects(rows)} columns={stanzaColumns(Date.now() + ahead)} rowKey={(row) => `${textIn(row, "backup_server_id")}|${textIn(row, "stanza")}|${textIn(row, "repo")}`} sort="stanza" />}
      </Panel>
      <Panel title="Backups" unit="that are kept, the newest first" id="list" page={page} nothing="There is no backup.">
        {(rows) => <Grid label="Backups" rows={asObjects(rows)} columns={list} rowKey={(row) => `${textIn(row, "stanza")}|${textIn(row, "repo")}|${textIn(row, "label")}`} sort="-started_at" param="bsort" />}
      </Panel>
      <Panel title="Archive" unit="now: what is not archived is lost with the machine" id="archive" page={page} nothing="This is no cluster: archiving is on the pages of those whose backups are here.">
        {(rows) => <Grid label="Archive" rows={asObjects(rows)} columns={archiveColumns} rowKey={(row) => textIn(row, "instance_id")} sort="server" param="asort" />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={server.id} />}
      <Several page={page} id="archived" step={60} title="Archiver" unit="in each step" of={{ archived: "segments archived", failed: "attempts failed" }} measure="" nothing="No segment was archived." />
    </>
  );
}
