import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import { To } from "../../components/To";
import { useAnnotations } from "../../data/annotations";
import { dateTime } from "../../data/format";
import { type Page, type Plan, usePage } from "../../data/page";
import { type Range, printTime } from "../../data/range";
import { type Row, asObjects, rowsIn, textIn, timeOf } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";
import { useSearch, useSet } from "../../data/url";
import { ServerScope } from "../ServerScope";
import { kindOf } from "../server/clusters";
import { Annotate, NoteActions } from "./Annotate";

/** What happened on one server. */
export function ServerEvents(): ReactNode {
  return (
    <ServerScope title="Events">
      {(server) => <List key={server.id} query="events" serverId={server.id} />}
    </ServerScope>
  );
}

/** What happened, anywhere. */
export function FleetEvents(): ReactNode {
  return (
    <>
      <div className="title"><h1>Events</h1><span className="muted">of all servers</span></div>
      <List query="fleet_events" serverId={null} />
    </>
  );
}

function List({ query, serverId }: { query: string; serverId: string | null }): ReactNode {
  const page = usePage(`events ${query}`, useMemo((): Plan => ({
    asks: [{ id: "events", query }, ...(serverId ? [{ id: "why", query: "why" }] : [])],
    values: serverId ? { server: serverId } : {},
  }), [query, serverId]));
  const { data } = page;
  return (
    <>
      {data && <Notes range={data.range} serverId={serverId} />}
      <Seen page={page} isFleet={serverId === null} />
    </>
  );
}

/** What people and their pipelines say. */
function Notes({ range, serverId }: { range: Range; serverId: string | null }): ReactNode {
  const { zone } = useSettings();
  const { boot } = useSession();
  const notes = useAnnotations(range, serverId);
  const nameOf = (id: string | null): string => (id === null ? "all servers" : (boot.servers.find((each) => each.id === id)?.name ?? id));
  const byId = new Map(notes.map((note) => [note.id, note]));
  const rows = notes.map((note): Row => ({ id: note.id, time: note.time, until: note.until, title: note.title, where: nameOf(note.server_id), tags: note.tags.join(", "), author: note.author }));
  const columns: GridColumn[] = [
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["time"]), zone) },
    { id: "until", title: "Until", show: (row) => (row["until"] ? dateTime(timeOf(row["until"]), zone) : "–") },
    { id: "title", title: "What", isWide: true, show: (row) => <span className="cut">{textIn(row, "title")}</span> },
    { id: "where", title: "Where" },
    { id: "tags", title: "Tags" },
    { id: "author", title: "Who says so" },
    { id: "more", title: "More", value: () => null, show: (row) => { const note = byId.get(textIn(row, "id")); return note ? <NoteActions note={note} /> : ""; } },
  ];
  return (
    <section className="panel" aria-label="Deploys and notes">
      <header>
        <h2>Deploys and notes</h2>
        <span className="muted">what people and their pipelines say</span>
        <Annotate range={range} serverId={serverId} />
      </header>
      {rows.length > 0 ? (
        <Grid label="Deploys and notes" rows={rows} columns={columns} rowKey={(row) => textIn(row, "id")} sort="-time" param="nsort" />
      ) : (
        <p className="state">None in this range. A pipeline tells of a deploy with a token of the scope <code>annotate</code>: <code>curl -H "Authorization: Bearer $TOKEN" --json '{"{"}"title":"shop 1.4","tags":["deploy"]{"}"}' {location.origin}/api/v1/annotations</code></p>
      )}
    </section>
  );
}

/** What agents saw. */
function Seen({ page, isFleet }: { page: Page; isFleet: boolean }): ReactNode {
  const { zone } = useSettings();
  const { boot } = useSession();
  const search = useSearch();
  const set = useSet();
  const words = (search["q"] ?? "").toLowerCase();
  const kind = search["kind"] ?? "";
  const all = rowsIn(page.data?.outcomes.get("events"));
  const kinds = useMemo(() => [...new Set(all.map((row) => textIn(row, "kind")))].sort(), [all]);
  const server = (row: Row): { id: string; name: string } => boot.servers.find((each) => each.id === row["server_id"]) ?? { id: textIn(row, "server_id"), name: textIn(row, "server") };
  const fits = (row: Row): boolean => (kind === "" || row["kind"] === kind) && Object.values(row).some((value) => String(value ?? "").toLowerCase().includes(words));
  const at = (row: Row): string => printTime(timeOf(row["time"]));
  const columns: GridColumn[] = [
    { id: "time", title: "Time", show: (row) => dateTime(timeOf(row["time"]), zone) },
    ...(isFleet ? [{ id: "server", title: "Server", show: (row: Row) => <To path={`/s/${slugOf(server(row))}/activity`} search={{ at: at(row) }}>{textIn(row, "server")}</To> }] : []),
    { id: "kind", title: "What", show: (row) => { const [letter, isBad] = kindOf(row); return <span className={isBad ? "badge bad" : "badge"}>{letter} {textIn(row, "kind")}</span>; } },
    { id: "object", title: "Of", isWide: true, show: (row) => <span className="cut">{textIn(row, "object")}</span> },
    { id: "database_name", title: "Database", show: (row) => textIn(row, "database_name") || "–" },
    { id: "old", title: "Before", show: (row) => <span className="cut mono">{textIn(row, "old").slice(0, 200) || "–"}</span> },
    { id: "new", title: "After", show: (row) => <span className="cut mono">{textIn(row, "new").slice(0, 200) || "–"}</span> },
  ];
  return (
    <>
      <Filter label="Filter events">
        <button type="button" className="chip" aria-pressed={kind === ""} onClick={() => set({ kind: "" })}>All ({all.length})</button>
        {kinds.map((each) => <button key={each} type="button" className="chip" aria-pressed={kind === each} onClick={() => set({ kind: each })}>{each} ({all.filter((row) => row["kind"] === each).length})</button>)}
        <PageState page={page} />
      </Filter>
      <Panel title="Seen" unit="by the agents: restarts, roles, versions, settings, schema" id="events" page={page} nothing="Nothing happened in this range that an agent could see.">
        {(rows) => {
          const some = asObjects(rows).filter(fits);
          return some.length > 0 ? <Grid label="Seen" rows={some} columns={columns} rowKey={(row, place) => `${textIn(row, "time")}${place}`} sort="-time" /> : <p className="state">No such event.</p>;
        }}
      </Panel>
    </>
  );
}
