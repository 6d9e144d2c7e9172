import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { dateTime } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, rowsIn, textIn, timeOf } from "../../data/rows";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";
import { useSearch, useSet } from "../../data/url";
import { ServerScope } from "../ServerScope";

export function Config(): ReactNode {
  return <ServerScope title="Settings">{(server) => <ConfigOf key={server.id} server={server} />}</ServerScope>;
}

/** `16384` of `8kB` are so many of them; `15` of `s` is 15 s. */
export function withUnit(row: Row): string {
  const [setting, unit] = [textIn(row, "setting").slice(0, 200), textIn(row, "unit")];
  return unit === "" ? setting : `${setting} ${/^\d/.test(unit) ? `× ${unit}` : unit}`;
}

const SETTINGS: GridColumn[] = [
  { id: "name", title: "Setting", show: (row) => <strong>{textIn(row, "name")}</strong> },
  { id: "setting", title: "Value", show: (row) => <span className="cut mono" title={textIn(row, "setting").slice(0, 2000)}>{row["hidden"] === true ? "(hidden)" : `${withUnit(row)}`}</span> },
  { id: "boot_val", title: "As it comes", show: (row) => <span className="cut mono">{textIn(row, "boot_val").slice(0, 200) || "–"}</span> },
  { id: "source", title: "From" },
  { id: "context", title: "Takes effect", show: (row) => ({ postmaster: "after a restart", sighup: "after a reload" })[textIn(row, "context")] ?? textIn(row, "context") },
  { id: "pending_restart", title: "Waits", show: (row) => (row["pending_restart"] === true ? <span className="badge warn">! for a restart</span> : "–") },
  { id: "category", title: "Category" },
];

/** Set by somebody: not as it comes, and not just what the agent's own session asked for. */
export const isChanged = (row: Row): boolean => !["default", "client", "session", "override"].includes(textIn(row, "source")) || row["pending_restart"] === true;

/** What is set, since when, and how is it elsewhere? */
function ConfigOf({ server }: { server: ServerInfo }): ReactNode {
  const search = useSearch();
  const set = useSet();
  const { boot } = useSession();
  const { zone } = useSettings();
  const instance = server.instances.find((each) => each === search["i"]) ?? server.instances[0] ?? "";
  const others = useMemo(() => boot.servers.filter((each) => each.databases.length > 0).flatMap((each) => each.instances.map((id) => ({ id, name: `${each.name} (${id.slice(0, 8)})` }))).filter((each) => each.id !== instance), [boot.servers, instance]);
  const other = others.find((each) => each.id === search["with"])?.id ?? "";
  const page = usePage("config", useMemo(() => ({
    asks: [
      { id: "settings", query: "settings_now" },
      { id: "changed", query: "settings_changed" },
      ...(other ? [{ id: "diff", query: "settings_diff" }] : []),
      { id: "why", query: "why" },
    ],
    values: { server: server.id, instance, other },
  }), [server.id, instance, other]));
  const words = (search["q"] ?? "").toLowerCase();
  const isAll = search["tab"] === "all";
  const fits = (row: Row): boolean => (isAll || isChanged(row)) && `${textIn(row, "name")} ${textIn(row, "category")} ${textIn(row, "setting")}`.toLowerCase().includes(words);
  const changes: GridColumn[] = [
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["time"]), zone) },
    { id: "object", title: "Setting" },
    { id: "kind", title: "What", show: (row) => (row["kind"] === "setting_pending" ? "waits for a restart" : "changed") },
    { id: "old", title: "Before", show: (row) => <span className="cut mono">{textIn(row, "old").slice(0, 200) || "–"}</span> },
    { id: "new", title: "After", show: (row) => <span className="cut mono">{textIn(row, "new").slice(0, 200) || "–"}</span> },
  ];
  const diff: GridColumn[] = [
    { id: "name", title: "Setting" },
    { id: "here", title: "Here", show: (row) => <span className="cut mono">{row["here"] === null ? "not known" : textIn(row, "here").slice(0, 200)}</span> },
    { id: "there", title: "There", show: (row) => <span className="cut mono">{row["there"] === null ? "not known" : textIn(row, "there").slice(0, 200)}</span> },
  ];
  return (
    <>
      <Filter label="Filter settings">
        <button type="button" className="chip" aria-pressed={!isAll} onClick={() => set({ tab: "" })}>Changed</button>
        <button type="button" className="chip" aria-pressed={isAll} onClick={() => set({ tab: "all" })}>All</button>
        {server.instances.length > 1 && (
          <label>
            Member
            <select value={instance} onChange={(event) => set({ i: event.target.value })}>
              {server.instances.map((id) => <option key={id} value={id}>{id.slice(0, 8)}</option>)}
            </select>
          </label>
        )}
        <label>
          Compare with
          <select value={other} onChange={(event) => set({ with: event.target.value })}>
            <option value="">no other</option>
            {others.map((each) => <option key={each.id} value={each.id}>{each.name.slice(0, 70)}</option>)}
          </select>
        </label>
        <PageState page={page} />
      </Filter>
      {other && (
        <Panel title="Differences" unit={`from ${others.find((each) => each.id === other)?.name ?? other}`} id="diff" page={page} nothing="They have the same settings.">
          {(rows) => <Grid label="Differences" rows={asObjects(rows)} columns={diff} rowKey={(row) => textIn(row, "name")} sort="name" param="dsort" />}
        </Panel>
      )}
      <Panel title="Settings" unit={isAll ? "all of them, now" : "that are not as they come, now"} id="settings" page={page} nothing="Nothing is known of its settings yet.">
        {(rows) => {
          const some = asObjects(rows).filter(fits);
          return some.length > 0 ? <Grid label="Settings" rows={some} columns={SETTINGS} rowKey={(row) => textIn(row, "name")} sort="name" /> : <p className="state">No such setting.</p>;
        }}
      </Panel>
      <Panel title="Changes" unit="in this range" id="changed" page={page} nothing="No setting changed in this range.">
        {(rows) => <Grid label="Changes" rows={asObjects(rows)} columns={changes} rowKey={(row, at) => `${textIn(row, "object")}${at}`} sort="-time" param="csort" />}
      </Panel>
      <p className="muted">{rowsIn(page.data?.outcomes.get("settings")).length} settings are known. Values that may hold secrets are hidden by the agent.</p>
    </>
  );
}
