import { Navigate, useRouterState } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useSettings } from "../data/settings";
import { Fleet } from "./fleet/Fleet";

/** Whether the browser has just come here by the bare address. */
let isFirst = true;

/** The fleet; or where one begins, when one has chosen another page for that. */
export function Home(): ReactNode {
  const { landing } = useSettings();
  const isBare = useRouterState({ select: (state) => Object.keys(state.location.search).length === 0 });
  const isElsewhere = isFirst && isBare && landing !== "fleet";
  isFirst = false;
  return isElsewhere ? <Navigate to={`/${landing}` as never} replace /> : <Fleet />;
}
