import { Outlet, useRouterState } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { SessionGate } from "../data/session";
import { Failed } from "../components/Panel";
import { LoginDoor } from "../pages/Login";
import { Shell } from "./Shell";

/** Who is known sees the page; who is not, the door. */
export function Root(): ReactNode {
  const isSetup = useRouterState({ select: (state) => state.matches.some((match) => match.routeId === "/setup") });
  if (isSetup) return <Outlet />;
  return (
    <SessionGate
      door={(enter) => <LoginDoor enter={enter} />}
      waiting={(error, again) => (
        <main className="door">
          {error ? (
            <section className="panel">
              <h1>pgAnalytics</h1>
              <Failed error={error} again={again} />
            </section>
          ) : (
            <p className="appear" role="status">Loading …</p>
          )}
        </main>
      )}
    >
      <Shell>
        <Outlet />
      </Shell>
    </SessionGate>
  );
}
