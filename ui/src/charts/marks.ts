// What happened, for all charts of the page at once: faint lines, and one that is pointed at.
import { useSyncExternalStore } from "react";

export interface Mark {
  /** Milliseconds since 1970. */
  at: number;
  isBad: boolean;
}

export interface Marks {
  all: readonly Mark[];
  /** The one under the pointer or with the focus. */
  pointed: number | null;
}

const NONE: Marks = { all: [], pointed: null };
let present: Marks = NONE;
const listeners = new Set<() => void>();

function become(next: Marks): void {
  present = next;
  for (const listener of listeners) listener();
}

export const setMarks = (all: readonly Mark[]): void => become({ all, pointed: null });
export const pointAt = (pointed: number | null): void => become({ ...present, pointed });

export const useMarks = (): Marks =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => present,
  );
