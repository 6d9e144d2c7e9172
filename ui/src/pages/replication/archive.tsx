import type { GridColumn } from "../../components/Grid";
import { figure } from "../../data/format";
import { numberIn, textIn } from "../../data/rows";

/** How archiving does on a member. */
export const archiveColumns: GridColumn[] = [
  { id: "server", title: "Server" },
  { id: "archive_mode", title: "archive_mode", show: (row) => (textIn(row, "archive_mode") === "off" ? <span className="badge warn">! off</span> : textIn(row, "archive_mode")) },
  { id: "failing", title: "Archiver", show: (row) => (textIn(row, "archive_mode") === "off" ? "–" : row["failing"] === true ? <span className="badge bad">✕ fails at {textIn(row, "last_failed_wal")}</span> : row["failing"] === false ? "works" : "–") },
  { id: "last_archive_age", title: "Last segment", unit: "s", about: "Time since it was archived", show: (row) => (row["last_archive_age"] === null ? "–" : `${figure(row["last_archive_age"], "s")} ago`) },
  { id: "last_archived_wal", title: "Segment" },
  { id: "archive_ready", title: "Waiting", unit: "", about: "Segments that are not archived yet", show: (row) => ((numberIn(row, "archive_ready") ?? 0) > 10 ? <span className="up">! {figure(row["archive_ready"])}</span> : figure(row["archive_ready"])) },
  { id: "archive_ready_age", title: "Oldest waits", unit: "s" },
  { id: "wal_size", title: "pg_wal", unit: "B" },
  { id: "max_wal_size", title: "max_wal_size", unit: "B" },
];
