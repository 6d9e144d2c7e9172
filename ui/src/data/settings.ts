// What a person has chosen: for this browser at once, and kept by the server for the next one.
// Nothing of what servers say is ever kept here.
import { useSyncExternalStore } from "react";
import type { Zone } from "./format";

export interface Settings {
  theme: "auto" | "light" | "dark";
  contrast: "auto" | "more";
  zone: Zone;
  /** Whether single letters do something. */
  keys: boolean;
  /** How much fits on a screen. */
  density: "normal" | "dense";
  /** The page behind `/`. */
  landing: "fleet" | "events" | "queries";
}

const DEFAULTS: Settings = { theme: "auto", contrast: "auto", zone: "local", keys: true, density: "normal", landing: "fleet" };
const NAME = "pganalytics-settings";

const CHOICES: { [K in keyof Settings]: readonly Settings[K][] } = {
  theme: ["auto", "light", "dark"],
  contrast: ["auto", "more"],
  zone: ["local", "utc"],
  keys: [true, false],
  density: ["normal", "dense"],
  landing: ["fleet", "events", "queries"],
};

/** Settings of a text; whatever is not one is as if it were not there. */
export function readSettings(text: string | null): Settings {
  let found: Partial<Record<keyof Settings, unknown>> = {};
  try {
    found = (JSON.parse(text ?? "{}") as typeof found | null) ?? {};
  } catch {
    // Somebody else's text.
  }
  const one = <K extends keyof Settings>(key: K): Settings[K] => CHOICES[key].find((choice) => choice === found[key]) ?? DEFAULTS[key];
  return { theme: one("theme"), contrast: one("contrast"), zone: one("zone"), keys: one("keys"), density: one("density"), landing: one("landing") };
}

const stored = (): string | null => {
  try {
    return localStorage.getItem(NAME);
  } catch {
    // Not allowed: the defaults hold.
    return null;
  }
};

let present: Settings = DEFAULTS;
const listeners = new Set<() => void>();
const dark = (): MediaQueryList => matchMedia("(prefers-color-scheme: dark)");
const more = (): MediaQueryList => matchMedia("(prefers-contrast: more)");

function apply(): void {
  const root = document.documentElement.dataset;
  root["theme"] = present.theme === "auto" ? (dark().matches ? "dark" : "light") : present.theme;
  root["density"] = present.density;
  root["contrast"] = present.contrast === "more" || more().matches ? "more" : "normal";
  for (const listener of listeners) listener();
}

/** Reads what is kept and follows the system; once, at the start. */
export function startSettings(): void {
  present = readSettings(stored());
  apply();
  dark().addEventListener("change", apply);
  more().addEventListener("change", apply);
}

function become(next: Settings): void {
  present = next;
  try {
    localStorage.setItem(NAME, JSON.stringify(present));
  } catch {
    // It holds until the page is left.
  }
  apply();
}

let keep: (settings: Settings) => void = () => undefined;

/** Takes what the server has kept of a person, and tells it of later choices. */
export function follow(kept: Record<string, unknown>, later: (settings: Settings) => void): void {
  keep = later;
  // Who has chosen nothing yet goes on with what this browser has.
  if (Object.keys(kept).length > 0) become(readSettings(JSON.stringify({ ...present, ...kept })));
}

export function change(to: Partial<Settings>): void {
  become({ ...present, ...to });
  keep(present);
}

const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useSettings = (): Settings => useSyncExternalStore(subscribe, () => present);

/** Changes whenever colours do. */
export const useLook = (): string =>
  useSyncExternalStore(subscribe, () => {
    const { theme, contrast } = document.documentElement.dataset;
    return `${theme} ${contrast}`;
  });
