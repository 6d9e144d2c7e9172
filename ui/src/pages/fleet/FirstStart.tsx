import type { ReactNode } from "react";
import { Copy } from "../../components/Copy";

const STEPS: readonly (readonly [string, string])[] = [
  ["1. A role that may look, on the server to watch", "create role monitor login password '…';\ngrant pg_monitor to monitor;"],
  ["2. Watch from this server", "PGANALYTICS_MONITOR=postgres://monitor@db1/postgres PGPASSWORD=… pganalytics-server serve"],
  ["… or with an agent beside the databases, after a look at what works", "pganalytics-agent check --postgres postgres://monitor@db1/postgres"],
];

/** Nothing reports yet: how that changes. The page turns into the fleet by itself. */
export function FirstStart(): ReactNode {
  return (
    <>
      <div className="title"><h1>No server reports yet</h1></div>
      <p>This page becomes the fleet as soon as the first data come; it looks once a minute.</p>
      {STEPS.map(([title, text]) => (
        <section key={title} className="panel">
          <header><h2>{title}</h2><span className="grow" /><Copy text={text} /></header>
          <pre className="sqltext">{text}</pre>
        </section>
      ))}
    </>
  );
}
