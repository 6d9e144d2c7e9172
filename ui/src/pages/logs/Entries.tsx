import { type ReactNode, useState } from "react";
import { Dialog } from "../../components/Dialog";
import { Grid, type GridColumn } from "../../components/Grid";
import { To } from "../../components/To";
import type { ServerInfo } from "../../data/api";
import { dateTime, figure, oneLine } from "../../data/format";
import { printTime } from "../../data/range";
import { type Row, textIn, timeOf } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";

const BAD = new Set(["ERROR", "FATAL", "PANIC"]);
const FIELDS = ["severity", "class", "sqlstate", "pid", "datname", "usename", "application_name", "remote_host", "detail", "hint", "duration_ms", "file", "file_offset"];

/** Entries of the log; a row opens all of it. */
export function Entries({ rows, server }: { rows: Row[]; server: ServerInfo | null }): ReactNode {
  const { zone } = useSettings();
  const { boot } = useSession();
  const slug = (row: Row): string => slugOf(server ?? boot.servers.find((each) => each.id === row["server_id"]) ?? { id: textIn(row, "server_id"), name: textIn(row, "server") });
  const [open, setOpen] = useState<Row | null>(null);
  const columns: GridColumn[] = [
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["log_time"] ?? row["time"]), zone) },
    ...(server ? [] : [{ id: "server", title: "Server" }]),
    { id: "severity", title: "Severity", show: (row) => <span className={BAD.has(textIn(row, "severity")) ? "badge bad" : "badge"}>{BAD.has(textIn(row, "severity")) ? "✕ " : ""}{textIn(row, "severity")}</span> },
    { id: "class", title: "Class" },
    { id: "datname", title: "Database" },
    { id: "usename", title: "User" },
    { id: "message", title: "Message", isWide: true, show: (row) => <span className="cut">{oneLine(row["message"], 400)}</span> },
  ];
  return (
    <>
      <Grid label="Entries" rows={rows} columns={columns} rowKey={(row) => `${textIn(row, "server")}|${textIn(row, "file")}|${textIn(row, "file_offset")}`} open={setOpen} sort="-time" />
      {open && (
        <Dialog title={dateTime(timeOf(open["log_time"] ?? open["time"]), zone)} close={() => setOpen(null)}>
          <div className="stack">
            <pre className="sqltext mono">{textIn(open, "message")}</pre>
            <dl className="facts">
              {FIELDS.filter((name) => open[name] !== null && open[name] !== undefined).map((name) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{name === "duration_ms" ? figure(open[name], "ms") : textIn(open, name)}</dd>
                </div>
              ))}
            </dl>
            <p className="row">
              {open["query_id"] ? <To path={`/s/${slug(open)}/queries/${textIn(open, "query_id")}`} className="button">Its statement</To> : null}
              <To path={`/s/${slug(open)}/activity`} search={{ at: printTime(timeOf(open["log_time"] ?? open["time"])) }} className="button">Who ran then</To>
              <button type="button" className="button primary" onClick={() => setOpen(null)}>Close</button>
            </p>
          </div>
        </Dialog>
      )}
    </>
  );
}
