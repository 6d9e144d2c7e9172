import { useParams } from "@tanstack/react-router";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useMemo, useState } from "react";
import { Dialog } from "../../components/Dialog";
import { FactList } from "../../components/FactList";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import { To } from "../../components/To";
import { ApiError, request } from "../../data/api";
import { dateTime, figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, textIn, timeOf } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";
import { useSearch, useSet } from "../../data/url";
import { ago } from "../../data/why";
import { Several } from "../Several";
import { useRegistered } from "./Collectors";
import { type Registered, stateOf } from "./state";

const ASKS = [
  { id: "series", query: "collector_series", leastStep: 60 },
  { id: "rates", query: "collector_rates", leastStep: 60 },
  { id: "scrapes", query: "collector_scrapes" },
  { id: "gaps", query: "collector_gaps" },
];

const isId = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);

/** One agent: does it deliver, what does it cost, what does it not collect? */
export function CollectorPage(): ReactNode {
  const { id = "" } = useParams({ strict: false }) as { id?: string };
  if (!isId(id)) return <section className="panel"><h1>Collector</h1><p>“{id.slice(0, 80)}” is no id of a collector. <To path="/collectors">To all collectors</To></p></section>;
  return <CollectorOf key={id} id={id} />;
}

function CollectorOf({ id }: { id: string }): ReactNode {
  const page = usePage("collector", useMemo(() => ({ asks: ASKS, values: { collector: id } }), [id]));
  const { data: registered } = useRegistered();
  const { boot, ahead } = useSession();
  const { zone } = useSettings();
  const search = useSearch();
  const set = useSet();
  const record = registered?.find((each) => each.id === id);
  const servers = boot.servers.filter((server) => server.collectors.includes(id));
  const isAll = search["tab"] === "all";
  const fits = (row: Row): boolean => isAll || row["status"] !== "ok";
  const now = Date.now() + ahead;
  const scrapes: GridColumn[] = [
    { id: "measurement", title: "Measurement", show: (row) => <To path={`/explore/${textIn(row, "measurement")}`}>{textIn(row, "measurement")}</To> },
    { id: "server", title: "Source", show: (row) => [textIn(row, "server"), textIn(row, "database_name")].filter(Boolean).join(", ") },
    { id: "status", title: "State", show: (row) => (row["status"] === "ok" ? "ok" : <span className={row["status"] === "failed" ? "badge bad" : "badge warn"}>{row["status"] === "failed" ? "✕" : "!"} {textIn(row, "status")}</span>) },
    { id: "error", title: "In its words", isWide: true, show: (row) => <span className="cut">{textIn(row, "error") || "–"}</span> },
    { id: "sql_ms", title: "SQL", unit: "ms" },
    { id: "duration_ms", title: "In all", unit: "ms" },
    { id: "rows", title: "Rows", unit: "" },
    { id: "replaced", title: "Values hidden", unit: "" },
    { id: "time", title: "Last", value: (row) => timeOf(row["time"]), show: (row) => ago(timeOf(row["time"]), now) },
  ];
  const gaps: GridColumn[] = [
    { id: "time", title: "Told", show: (row) => dateTime(timeOf(row["time"]), zone) },
    { id: "gap_first", title: "From", show: (row) => textIn(row, "gap_first") },
    { id: "gap_last", title: "To", show: (row) => textIn(row, "gap_last") },
    { id: "gap_reason", title: "Why" },
  ];
  return (
    <>
      <div className="title"><h1>Collector {record?.name ?? id.slice(0, 8)}</h1><PageState page={page} /></div>
      <section className="panel" aria-label="What it is">
        <FactList
          facts={[
            { title: "State", value: stateOf(record, undefined, servers, now) },
            { title: "Host", value: record?.hostname || "–" },
            { title: "Version", value: record?.version || "–" },
            { title: "Registered", value: record ? dateTime(Date.parse(record.registered_at), zone) : "no: it runs in the server, or pushes with a token" },
            { title: "Last push", value: record?.last_seen ? ago(Date.parse(record.last_seen), now) : "–" },
            { title: "Servers", value: servers.length === 0 ? "–" : servers.slice(0, 8).map((server, at) => <span key={server.id}>{at > 0 ? ", " : ""}<To path={`/s/${slugOf(server)}/overview`}>{server.name}</To></span>) },
          ]}
        />
        {record && boot.user.permissions.includes("manage_collectors") && <Revoke record={record} />}
      </section>
      <div className="grid2">
        <Several page={page} id="series" step={60} title="Backlog" unit="what it has not delivered yet" of={{ queue_bytes: "backlog" }} measure="B" nothing="It told nothing of itself in this range." />
        <Several page={page} id="series" step={60} title="Memory" unit="of the agent" of={{ rss: "resident" }} measure="B" nothing="It told nothing of itself in this range." />
        <Several page={page} id="rates" step={60} title="Processor" unit="cores on average" of={{ cpu: "cores" }} measure="" nothing="It told nothing of itself in this range." />
        <Several page={page} id="rates" step={60} title="Delivered" unit="bytes a second" of={{ delivered: "delivered" }} measure="B/s" nothing="It told nothing of itself in this range." />
        <Several page={page} id="rates" step={60} title="Failures" unit="scrapes and pushes, in each step" of={{ failures: "failed", dropped: "frames dropped" }} measure="" nothing="It told nothing of itself in this range." />
      </div>
      <Panel
        title="Measurements"
        unit={isAll ? "all of them" : "that are not collected"}
        id="scrapes"
        page={page}
        nothing="It told nothing of its measurements."
        actions={<button type="button" className="chip" aria-pressed={isAll} onClick={() => set({ tab: isAll ? "" : "all" })}>All</button>}
      >
        {(rows) => {
          const some = asObjects(rows).filter(fits);
          return some.length > 0 ? <Grid label="Measurements" rows={some} columns={scrapes} rowKey={(row, at) => `${textIn(row, "measurement")}|${textIn(row, "server")}|${textIn(row, "database_name")}|${at}`} sort="measurement" /> : <p className="state">All of its {figure(rows.rows.length)} are collected.</p>;
        }}
      </Panel>
      <Panel title="Gaps" unit="what it declared lost in this range" id="gaps" page={page} nothing="Nothing was lost in this range.">
        {(rows) => <Grid label="Gaps" rows={asObjects(rows)} columns={gaps} rowKey={(_, at) => String(at)} sort="-time" param="gsort" />}
      </Panel>
    </>
  );
}

/** Refuses an agent, or lets it in again; its name is asked for. */
function Revoke({ record }: { record: Registered }): ReactNode {
  const client = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const [problem, setProblem] = useState("");
  const send = async (): Promise<void> => {
    try {
      await request("POST", `collectors/${record.id}/revoke${record.revoked ? "?undo=true" : ""}`);
      setOpen(false);
      await client.invalidateQueries({ queryKey: ["collectors"] });
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : "It did not work.");
    }
  };
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const typed = String(new FormData(event.currentTarget).get("name"));
    if (typed === record.name) void send();
    else setProblem("This is not its name.");
  };
  if (record.revoked) return <p className="row"><button type="button" className="button" onClick={() => void send()}>Let it in again</button>{problem && <span role="alert">{problem}</span>}</p>;
  return (
    <p className="row">
      <button type="button" className="button" onClick={() => setOpen(true)}>Revoke …</button>
      {isOpen && (
        <Dialog title={`Revoke ${record.name}?`} close={() => setOpen(false)}>
          <form className="stack" onSubmit={submit}>
            <p>Its tokens are refused from the next request on. What it sent stays, and it can be let in again.</p>
            <label className="field">Its name <input name="name" required autoComplete="off" autoFocus /></label>
            {problem && <p className="notice bad" role="alert">{problem}</p>}
            <span className="row"><button type="submit" className="button primary">Revoke</button><button type="button" className="button" onClick={() => setOpen(false)}>Cancel</button></span>
          </form>
        </Dialog>
      )}
    </p>
  );
}
