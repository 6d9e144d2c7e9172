import type { ReactNode } from "react";

/** A mistake of ours: what it is, and a way on. */
export function Crashed({ error }: { error: Error }): ReactNode {
  return (
    <main className="door">
      <section className="panel" role="alert">
        <h1>This page failed</h1>
        <p>It is a mistake in pgAnalytics, not in your servers.</p>
        <pre>{error.message}</pre>
        <button type="button" className="button primary" onClick={() => location.reload()}>Load it again</button>
      </section>
    </main>
  );
}
