import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { Copy } from "../../components/Copy";
import { Grid, type GridColumn } from "../../components/Grid";
import { PageState } from "../../components/PageState";
import { Failed, Panel } from "../../components/Panel";
import { To } from "../../components/To";
import { ApiError, getJson } from "../../data/api";
import { figure } from "../../data/format";
import { usePage } from "../../data/page";
import { type Row, asObjects, numberIn, rowsIn, textIn, timeOf } from "../../data/rows";
import { useSession } from "../../data/session";
import { ago } from "../../data/why";
import { type Registered, stateOf } from "./state";

const PLAN = { asks: [{ id: "agents", query: "agents" }, { id: "gaps", query: "gaps" }], values: {} };

/** Those that are registered. */
export const useRegistered = (): { data: Registered[] | undefined; error: Error | null } =>
  useQuery({
    queryKey: ["collectors"],
    refetchInterval: 60_000,
    queryFn: async ({ signal }) => (await getJson<{ data: Registered[] }>("collectors?page_size=1000", signal)).data,
  });

/** Which agents report, which are late, and what did they lose? */
export function Collectors(): ReactNode {
  const page = usePage("collectors", PLAN);
  const { data: registered, error } = useRegistered();
  const { boot, ahead } = useSession();
  const agents = rowsIn(page.data?.outcomes.get("agents"));
  const gaps = rowsIn(page.data?.outcomes.get("gaps"));
  const rows = useMemo(() => {
    const known = new Map((registered ?? []).map((each) => [each.id, each]));
    const ids = new Set([...known.keys(), ...agents.map((row) => textIn(row, "collector_id")), ...boot.servers.flatMap((server) => server.collectors)]);
    const now = Date.now() + ahead;
    return [...ids].map((id): Row => {
      const [record, agent] = [known.get(id), agents.find((row) => row["collector_id"] === id)];
      const own = boot.servers.filter((server) => server.collectors.includes(id));
      return {
        ...agent,
        id,
        name: record?.name ?? own[0]?.name ?? id.slice(0, 8),
        hostname: record?.hostname ?? null,
        version: agent?.["version"] ?? record?.version ?? null,
        state: stateOf(record, agent, own, now),
        servers: own.length,
        lost: gaps.filter((gap) => gap["collector_id"] === id).length,
      };
    });
  }, [registered, agents, gaps, boot.servers, ahead]);
  const versions = new Set(rows.map((row) => textIn(row, "version")).filter(Boolean));
  const columns: GridColumn[] = [
    { id: "name", title: "Collector", show: (row) => <To path={`/collectors/${textIn(row, "id")}`}>{textIn(row, "name")}</To> },
    { id: "state", title: "State", show: (row) => { const state = textIn(row, "state"); return state === "reporting" ? <span className="badge good">✓ reporting</span> : <span className={state === "in this server" ? "badge" : "badge bad"}>{state === "in this server" ? "" : "✕ "}{state}</span>; } },
    { id: "hostname", title: "Host", show: (row) => textIn(row, "hostname") || "–" },
    { id: "version", title: "Version", show: (row) => (versions.size > 1 && row["version"] !== null ? <span title="Not all have the same version">! {textIn(row, "version")}</span> : textIn(row, "version") || "–") },
    { id: "servers", title: "Servers", unit: "" },
    { id: "time", title: "Last word", value: (row) => (row["time"] ? timeOf(row["time"]) : null), show: (row) => (row["time"] ? ago(timeOf(row["time"]), Date.now() + ahead) : "–") },
    { id: "queue_bytes", title: "Backlog", unit: "B", about: "What it has not delivered yet" },
    { id: "queue_age", title: "Oldest waits", unit: "s", show: (row) => ((numberIn(row, "queue_age") ?? 0) > 60 ? <span className="up">! {figure(row["queue_age"], "s")}</span> : figure(row["queue_age"], "s")) },
    { id: "lost", title: "Gaps", unit: "", about: "Declared lost in this range", show: (row) => ((numberIn(row, "lost") ?? 0) > 0 ? <span className="up">! {figure(row["lost"])}</span> : "0") },
    { id: "dropped", title: "Dropped", unit: "", about: "Frames in the last hour" },
    { id: "failures", title: "Failed scrapes", unit: "", about: "In the last hour" },
    { id: "cpu", title: "Processor time", unit: "s", about: "In the last hour" },
    { id: "rss", title: "Memory", unit: "B" },
  ];
  return (
    <>
      <div className="title"><h1>Collectors</h1><span className="muted">agents that tell this server what they see</span><PageState page={page} /></div>
      {error && <Failed error={error instanceof ApiError ? error : new ApiError(0, "failed", error.message)} />}
      <section className="panel" aria-label="Collectors">
        {rows.length > 0 ? <Grid label="Collectors" rows={rows} columns={columns} rowKey={(row) => textIn(row, "id")} sort="state" /> : <p className="state">{page.data ? "No agent reports yet." : "Loading …"}</p>}
      </section>
      <Panel title="Gaps" unit="what agents declared lost in this range" id="gaps" page={page} nothing="Nothing was lost in this range.">
        {(found) => <Grid label="Gaps" rows={asObjects(found)} columns={GAPS} rowKey={(_, at) => String(at)} sort="-time" param="gsort" />}
      </Panel>
      <Enrol />
    </>
  );
}

const GAPS: GridColumn[] = [
  { id: "time", title: "Told" , show: (row) => textIn(row, "time").slice(0, 19) },
  { id: "collector_id", title: "Collector", show: (row) => textIn(row, "collector_id").slice(0, 8) },
  { id: "gap_first", title: "From", show: (row) => textIn(row, "gap_first") },
  { id: "gap_last", title: "To", show: (row) => textIn(row, "gap_last") },
  { id: "gap_reason", title: "Why" },
];

/** How one more comes in. */
function Enrol(): ReactNode {
  const commands = `export BACKEND_URL=${location.origin} REGISTRATION_SECRET_FILE=/etc/pganalytics/registration-secret\npganalytics-agent check --postgres postgres://monitor@db1/postgres\npganalytics-agent run --postgres postgres://monitor@db1/postgres`;
  return (
    <section className="panel" aria-label="One more">
      <header><h2>One more</h2><span className="muted">on the machine that it is to run on</span></header>
      <pre className="sqltext mono">{commands}</pre>
      <p className="row"><Copy text={commands} label="Copy" /> <span className="muted">With the registration secret of this server it registers itself at its first start, and keeps its own token in its data folder.</span></p>
    </section>
  );
}
