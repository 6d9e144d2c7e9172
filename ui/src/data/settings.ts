// What a person has chosen for this browser. Nothing of what servers say is ever kept.
import { useSyncExternalStore } from "react";
import type { Zone } from "./format";

export interface Settings {
  theme: "auto" | "light" | "dark";
  contrast: "auto" | "more";
  zone: Zone;
  /** Whether single letters do something. */
  keys: boolean;
}

const DEFAULTS: Settings = { theme: "auto", contrast: "auto", zone: "local", keys: true };
const NAME = "pganalytics-settings";

const CHOICES: { [K in keyof Settings]: readonly Settings[K][] } = {
  theme: ["auto", "light", "dark"],
  contrast: ["auto", "more"],
  zone: ["local", "utc"],
  keys: [true, false],
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
  return { theme: one("theme"), contrast: one("contrast"), zone: one("zone"), keys: one("keys") };
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

export function change(to: Partial<Settings>): void {
  present = { ...present, ...to };
  try {
    localStorage.setItem(NAME, JSON.stringify(present));
  } catch {
    // It holds until the page is left.
  }
  apply();
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
