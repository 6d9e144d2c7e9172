import { useEffect, useRef } from "react";
import type { ServerInfo } from "../data/api";
import { shift, zoom } from "../data/range";
import { isCluster, slugOf } from "../data/servers";
import { useSettings } from "../data/settings";
import { asSearch, useSearch, useSet, useTimes } from "../data/url";
import { EVERYWHERE, OF_HOST, OF_SERVER } from "./pages";
import { useGo } from "./go";

/** Keys as `?` shows them. */
export const KEYS: readonly (readonly [string, string])[] = [
  ["Ctrl+K", "Go to anything"],
  ["?", "This help"],
  ["/", "Filter the list"],
  ["[ ]", "Earlier, later by half"],
  ["- =", "Zoom out, in"],
  ["c", "Compare with the period before, or not"],
  ["l", "Follow the present, or not"],
  ...[...EVERYWHERE, ...OF_SERVER].map((page) => [`g ${page.key}`, page.word] as const),
];

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest("input, textarea, select, [contenteditable], .editor, dialog") !== null;

/** Keys that work anywhere. Single letters can be switched off. */
export function useKeys(server: ServerInfo | null, open: (what: "palette" | "help") => void): void {
  const { keys } = useSettings();
  const times = useTimes();
  const search = useSearch();
  const set = useSet();
  const go = useGo();
  const waiting = useRef(0);
  useEffect(() => {
    const page = (letter: string): void => {
      const everywhere = EVERYWHERE.find((each) => each.key === letter);
      const ofServer = (server && !isCluster(server) ? OF_HOST : OF_SERVER).find((each) => each.key === letter);
      if (everywhere) go(everywhere.path);
      else if (ofServer && server) go(`/s/${slugOf(server)}/${ofServer.path}`);
    };
    const range = (): ReturnType<typeof times.resolve> => times.resolve(Date.now());
    const actions: Record<string, () => void> = {
      "?": () => open("help"),
      "/": () => document.querySelector<HTMLElement>("[data-filter]")?.focus(),
      "[": () => set(asSearch(shift(range(), -0.5))),
      "]": () => set(asSearch(shift(range(), 0.5))),
      "-": () => set(asSearch(zoom(range(), 2))),
      "=": () => set(asSearch(zoom(range(), 0.5))),
      c: () => set({ vs: search["vs"] ? "" : "prev" }),
      l: () => set({ live: search["live"] === "off" ? "" : "off" }, { replace: true }),
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
  }, [keys, times, search, set, go, server, open]);
}
