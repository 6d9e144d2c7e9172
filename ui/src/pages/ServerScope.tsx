import { useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { To } from "../components/To";
import type { ServerInfo } from "../data/api";
import { type Kind, useKinds } from "../data/kinds";
import { findServer, slugOf } from "../data/servers";
import { useSession } from "../data/session";
import { ago } from "../data/why";

interface Props {
  title: string;
  /** What the page is about; clusters where it says nothing. */
  of?: Kind;
  children: (server: ServerInfo) => ReactNode;
}

/** The server of the address; or what is wrong with it. */
export function ServerScope({ title, of = "cluster", children }: Props): ReactNode {
  const { server: slug = "" } = useParams({ strict: false }) as { server?: string };
  const { boot, ahead } = useSession();
  const kindOf = useKinds();
  const found = findServer(boot.servers, slug);
  if (!found) {
    return (
      <section className="panel">
        <h1>There is no such server</h1>
        <p>No server has the id at the end of “{slug.slice(0, 80)}”. It may have been removed. <To path="/">To all servers</To></p>
      </section>
    );
  }
  if ("several" in found) {
    return (
      <section className="panel">
        <h1>Which one?</h1>
        <p>The ids of these servers begin alike:</p>
        <ul>{found.several.map((each) => <li key={each.id}><To path={`/s/${slugOf(each)}/overview`}>{each.name} ({each.id})</To></li>)}</ul>
      </section>
    );
  }
  const { server } = found;
  const kind = kindOf(server);
  return (
    <>
      <div className="title">
        <h1>{title}</h1>
        <span className="muted">{server.name}</span>
        {server.state === "silent" && (
          <span className="badge bad" role="status">✕ silent: last heard of {ago(Date.parse(server.last_seen), Date.now() + ahead)}</span>
        )}
      </div>
      {kind !== of && !(kind === "cluster" && of === "backups") && <OtherKind kind={kind} server={server} />}
      {children(server)}
    </>
  );
}

const PLACES: Record<Kind, readonly [string, string]> = {
  cluster: ["a PostgreSQL cluster", "overview"],
  pooler: ["a pooler", "pooler"],
  backups: ["a place of backups", "backups"],
  host: ["a host, or a server that was never reached", "host"],
};

/** The page is about something else than this server is. */
function OtherKind({ kind, server }: { kind: Kind; server: ServerInfo }): ReactNode {
  const [words, page] = PLACES[kind];
  return <p className="notice warn" role="status">This is {words}: there is little to see here. <To path={`/s/${slugOf(server)}/${page}`}>Its own page</To></p>;
}
