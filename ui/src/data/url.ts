// What stands behind the `?`: plain words, unknown ones kept, bad ones named.
import { useNavigate, useRouterState } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { type Ms, type Range, otherPeriod, parseTime, printTime } from "./range";

export type Search = Record<string, string>;

export function parseSearch(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text));
}

export function printSearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (typeof value === "string" && value !== "") params.set(name, value);
  }
  const text = params.toString();
  // These may stand in an address, and make it one that people can read.
  return text ? `?${text.replaceAll("%3A", ":").replaceAll("%2C", ",")}` : "";
}

const LIVE = new Set(["off", "10s", "30s", "60s"]);

export interface Times {
  /** As it stands in the address. */
  from: string;
  to: string;
  /** Whether it ends with the present. */
  isLive: boolean;
  resolve: (now: Ms) => Range;
  vs: string;
  at: Ms | null;
  /** Parameters that mean nothing, with what they say. */
  bad: [string, string][];
}

/** The range of an address. What is wrong in it is named and left out. */
export function timesOf(search: Search, now: Ms): Times {
  const bad: [string, string][] = [];
  const good = (name: string, fine: (text: string) => boolean): string | undefined => {
    const text = search[name];
    if (text === undefined) return undefined;
    if (fine(text)) return text;
    bad.push([name, text]);
    return undefined;
  };
  const isTime = (text: string): boolean => parseTime(text, now) !== null;
  let from = good("from", isTime) ?? "now-1h";
  let to = good("to", isTime) ?? "now";
  if ((parseTime(from, now) ?? 0) >= (parseTime(to, now) ?? 0)) {
    bad.push(["from", `${from} is not before ${to}`]);
    [from, to] = ["now-1h", "now"];
  }
  const vs = good("vs", (text) => otherPeriod({ from: 0, to: 1 }, text) !== null) ?? "";
  const at = good("at", isTime);
  const live = good("live", (text) => LIVE.has(text));
  const resolve = (present: Ms): Range => ({ from: parseTime(from, present) ?? present - 3_600_000, to: parseTime(to, present) ?? present });
  return { from, to, isLive: to === "now" && live !== "off", resolve, vs, at: at === undefined ? null : parseTime(at, now), bad };
}

/** The search of the present address. */
export function useSearch(): Search {
  return useRouterState({ select: (state) => state.location.search as Search });
}

export function useTimes(): Times {
  const search = useSearch();
  return useMemo(() => timesOf(search, Date.now()), [search]);
}

/** Changes parameters of the address; an empty text takes one out. */
export function useSet(): (change: Search, how?: { replace?: boolean }) => void {
  const navigate = useNavigate();
  return useCallback(
    (change, how) => {
      void navigate({
        to: ".",
        search: ((before: Search) => ({ ...before, ...change })) as never,
        replace: how?.replace ?? false,
        resetScroll: false,
      });
    },
    [navigate],
  );
}

export const asSearch = (range: Range): Search => ({ from: printTime(Math.round(range.from)), to: printTime(Math.round(range.to)) });

/** What goes along from page to page. */
export function carried(search: Search): Search {
  const kept = ["from", "to", "vs", "live"].flatMap((name) => (search[name] ? [[name, search[name]]] : []));
  return Object.fromEntries(kept) as Search;
}
