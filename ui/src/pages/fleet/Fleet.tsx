import { type ReactNode, useMemo } from "react";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import { To } from "../../components/To";
import { usePage } from "../../data/page";
import { asObjects, rowsIn, textIn } from "../../data/rows";
import { type Series, linesOf } from "../../data/series";
import { slugOf } from "../../data/servers";
import { useSession } from "../../data/session";
import { EventLane } from "../server/Events";
import { FirstStart } from "./FirstStart";
import { Heat } from "./Heat";
import { Instances } from "./Instances";
import { type Problem, problemsOf } from "./problems";

const PLAN = {
  asks: [
    { id: "now", query: "fleet_now" },
    { id: "load", query: "fleet_load" },
    { id: "events", query: "fleet_events" },
  ],
  values: {},
};

/** What burns, where first, what is silent. */
export function Fleet(): ReactNode {
  const { boot } = useSession();
  const page = usePage("fleet", PLAN, boot.servers.length > 0);
  const { data } = page;
  const now = rowsIn(data?.outcomes.get("now"));
  const servers = useMemo(() => new Map(boot.servers.map((server) => [server.id, server])), [boot.servers]);
  const load = useMemo<Series | null>(
    () => (data ? linesOf(rowsIn(data.outcomes.get("load")), data.range, data.step, "load", "server_id") : null),
    [data],
  );
  if (boot.servers.length === 0) return <FirstStart />;
  const nameOf = (id: string): string => servers.get(id)?.name ?? id;
  const slug = (id: string): string => slugOf(servers.get(id) ?? { id, name: nameOf(id) });
  const silent = boot.servers.filter((server) => server.state === "silent");
  const problems: Problem[] = [
    ...silent.map(({ id, name }): Problem => ({ level: "bad", weight: 95, serverId: id, server: name, words: "is silent: nothing came for three minutes", page: servers.get(id)?.databases.length ? "overview" : "host" })),
    ...problemsOf(now),
  ];
  const clusters = new Set(now.map((row) => textIn(row, "server_id"))).size;
  const many = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

  return (
    <>
      <div className="title">
        <h1>Fleet</h1>
        <span className="muted">{many(clusters, "PostgreSQL cluster")}, {many(now.length, "instance")}</span>
        <PageState page={page} />
      </div>
      <Panel title="Problems" unit="worst first" id="now" page={page} nothing="No PostgreSQL server reports yet.">
        {() => (problems.length > 0 ? <Problems problems={problems} slug={slug} /> : (
          <p className="row"><span className="badge good">✓ none</span> Every instance answers, nobody waits for a lock, nothing is near its limit.</p>
        ))}
      </Panel>
      <Panel title="Load" unit="active sessions; darkest where the busiest server was at its peak" id="load" page={page} nothing="No session was active in this range." isChart>
        {() => load && <Heat load={load} nameOf={nameOf} slug={slug} />}
      </Panel>
      {data && <EventLane rows={rowsIn(data.outcomes.get("events"))} range={data.range} serverId={null} />}
      <Panel title="Instances" id="now" page={page} nothing="No PostgreSQL server reports yet.">
        {(rows) => <Instances rows={asObjects(rows)} load={load} slug={slug} />}
      </Panel>
    </>
  );
}

function Problems({ problems, slug }: { problems: Problem[]; slug: (id: string) => string }): ReactNode {
  return (
    <ol className="problems">
      {problems.slice(0, 30).map((problem, at) => (
        <li key={`${problem.serverId}${problem.words}${at}`} className={problem.level}>
          <span className={`badge ${problem.level}`}>{problem.level === "bad" ? "✕ act" : "! look"}</span>
          <To path={`/s/${slug(problem.serverId)}/${problem.page}`}>{problem.server}</To>
          <span className="grow">{problem.words}</span>
        </li>
      ))}
      {problems.length > 30 && <li>and {problems.length - 30} more in the list below</li>}
    </ol>
  );
}
