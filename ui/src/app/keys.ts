import { useEffect, useRef } from "react";
import type { ServerInfo } from "../data/api";
import { useKinds } from "../data/kinds";
import { shift, zoom } from "../data/range";
import { slugOf } from "../data/servers";
import { useSettings } from "../data/settings";
import { asSearch, useSearch, useSet, useTimes } from "../data/url";
import { EVERYWHERE, LETTERS, pagesOf } from "./pages";
import { useGo } from "./go";

/** Keys as `?` shows them. */
export const KEYS: readonly (readonly [string, string])[] = [
  ["Ctrl+K", "Go to anything"],
  ["?", "This help"],
  ["/", "Filter the list"],
  ["t", "Choose the time"],
  ["[ ]", "Earlier, later by half"],
  ["- =", "Zoom out, in"],
  ["z", "Back to the time before"],
  ["c", "Compare with the period before, or not"],
  ["l", "Follow the present, or not"],
  ["e", "The next event"],
  ["x", "Take the panel along"],
  ...LETTERS.map(([key, words]) => [`g ${key}`, words] as const),
];

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest("input, textarea, select, [contenteditable], .editor, dialog") !== null;

/** Opens a sheet and goes into it. */
function openSheet(menu: Element | null | undefined): void {
  const summary = menu?.querySelector<HTMLElement>("summary");
  if (!(menu instanceof HTMLDetailsElement) || !summary) return;
  menu.open = true;
  (menu.querySelector<HTMLElement>(".sheet button, .sheet input") ?? summary).focus();
}

/** Goes around the marks of the event lane. */
function nextEvent(): void {
  const marks = [...document.querySelectorAll<HTMLElement>(".lane .event")];
  const here = marks.indexOf(document.activeElement as HTMLElement);
  marks[(here + 1) % Math.max(marks.length, 1)]?.focus();
}

/** The panel with the focus, or the first one. */
function takeAlong(): void {
  const panel = document.activeElement?.closest("[data-panel]");
  const has = (each: Element | null | undefined): Element | null => each?.querySelector("details.menu") ?? null;
  openSheet(has(panel) ?? [...document.querySelectorAll("[data-panel]")].map(has).find((menu) => menu !== null));
}

/** Keys that work anywhere. Single letters can be switched off. */
export function useKeys(server: ServerInfo | null, open: (what: "palette" | "help") => void): void {
  const { keys } = useSettings();
  const times = useTimes();
  const search = useSearch();
  const set = useSet();
  const go = useGo();
  const kindOf = useKinds();
  const waiting = useRef(0);
  const pages = server ? pagesOf(kindOf(server)) : [];
  const kept = useRef({ pages, search });
  kept.current = { pages, search };
  // The ranges that were shown before, the newest last.
  const before = useRef<[string, string][]>([]);
  const last = useRef<[string, string]>([times.from, times.to]);
  useEffect(() => {
    const [from, to] = last.current;
    if (from === times.from && to === times.to) return;
    before.current = [...before.current.slice(-49), last.current];
    last.current = [times.from, times.to];
  }, [times.from, times.to]);
  useEffect(() => {
    const page = (letter: string): void => {
      const ofServer = kept.current.pages.find((each) => each.key === letter);
      const everywhere = EVERYWHERE.find((each) => each.key === letter);
      if (ofServer && server) go(`/s/${slugOf(server)}/${ofServer.path}`);
      else if (everywhere) go(everywhere.path);
    };
    const undo = (): void => {
      const back = before.current.pop();
      if (!back) return;
      // Going back is not a step of its own.
      last.current = back;
      set({ from: back[0], to: back[1] });
    };
    const range = (): ReturnType<typeof times.resolve> => times.resolve(Date.now());
    const actions: Record<string, () => void> = {
      "?": () => open("help"),
      "/": () => document.querySelector<HTMLElement>("[data-filter]")?.focus(),
      t: () => openSheet(document.querySelector(".top [data-time]")),
      "[": () => set(asSearch(shift(range(), -0.5))),
      "]": () => set(asSearch(shift(range(), 0.5))),
      "-": () => set(asSearch(zoom(range(), 2))),
      "=": () => set(asSearch(zoom(range(), 0.5))),
      z: undo,
      c: () => set({ vs: kept.current.search["vs"] ? "" : "prev" }),
      l: () => set({ live: kept.current.search["live"] === "off" ? "" : "off" }, { replace: true }),
      e: nextEvent,
      x: takeAlong,
      g: () => {
        waiting.current = Date.now();
      },
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        open("palette");
        return;
      }
      if (!keys || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (Date.now() - waiting.current < 1500) {
        waiting.current = 0;
        page(event.key);
        event.preventDefault();
        return;
      }
      const action = actions[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [keys, times, set, go, server, open]);
}
