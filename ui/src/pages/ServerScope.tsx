import { useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { To } from "../components/To";
import type { ServerInfo } from "../data/api";
import { findServer, isCluster, slugOf } from "../data/servers";
import { useSession } from "../data/session";
import { ago } from "../data/why";

interface Props {
  title: string;
  /** Whether the page is one of hosts. */
  isHost?: boolean;
  children: (server: ServerInfo) => ReactNode;
}

/** The server of the address; or what is wrong with it. */
export function ServerScope({ title, isHost = false, children }: Props): ReactNode {
  const { server: slug = "" } = useParams({ strict: false }) as { server?: string };
  const { boot, ahead } = useSession();
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
  return (
    <>
      <div className="title">
        <h1>{title}</h1>
        <span className="muted">{server.name}</span>
        {server.state === "silent" && (
          <span className="badge bad" role="status">✕ silent: last heard of {ago(Date.parse(server.last_seen), Date.now() + ahead)}</span>
        )}
      </div>
      {!isHost && !isCluster(server) && <p className="notice warn" role="status">This is a host, a pooler, or a server that was never reached: there is little to see here. <To path={`/s/${slugOf(server)}/host`}>Its page as a host</To></p>}
      {children(server)}
    </>
  );
}
