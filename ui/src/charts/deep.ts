// Charts with far more points than pixels: they are zoomed without asking anybody again.
import { useCallback, useMemo, useState } from "react";
import type { Series } from "../data/series";
import { pyramidOf, viewOf } from "./pyramid";

export type Move = "earlier" | "later" | "nearer" | "wider" | "all";

/** Seconds since 1970. */
export interface Part {
  from: number;
  to: number;
}

/** Another part of the whole. It never leaves it, and never gets narrower than `least`. */
export function moved({ from, to }: Part, whole: Part, how: Move, least: number): Part {
  const [width, most] = [to - from, whole.to - whole.from];
  if (how === "all") return whole;
  if (how === "earlier" || how === "later") {
    const start = from + (how === "earlier" ? -width / 2 : width / 2);
    const kept = Math.min(Math.max(start, whole.from), Math.max(whole.from, whole.to - width));
    return { from: kept, to: Math.min(kept + width, whole.to) };
  }
  const wanted = Math.min(Math.max(how === "nearer" ? width / 2 : width * 2, least), most);
  const start = Math.min(Math.max((from + to - wanted) / 2, whole.from), whole.to - wanted);
  return { from: start, to: start + wanted };
}

/** The part of a series that is looked at, in as many points as there is room for. */
export function useDeep(series: Series, isStack: boolean): { series: Series; isDeep: boolean; measure: (pixels: number) => void; show: (from: number, to: number) => void; move: (how: Move) => void } {
  const [pixels, setPixels] = useState(800);
  // Of another series another part is looked at.
  const [chosen, setChosen] = useState<{ of: Series; part: Part } | null>(null);
  // Stacks are sums, of which the least and the most is not that of their parts.
  const pyramid = useMemo(() => (isStack ? null : pyramidOf(series)), [series, isStack]);
  const isDeep = pyramid !== null && pyramid.levels.length > 0;
  const whole = useMemo((): Part => ({ from: series.times[0] ?? 0, to: series.times.at(-1) ?? 0 }), [series]);
  const part = chosen?.of === series ? chosen.part : whole;
  const shown = useMemo(() => (pyramid && isDeep ? viewOf(pyramid, part.from, part.to, pixels) : series), [pyramid, isDeep, part, pixels, series]);
  const measure = useCallback((width: number) => setPixels(Math.max(200, Math.floor(width))), []);
  const show = (from: number, to: number): void => setChosen({ of: series, part: { from: Math.max(from, whole.from), to: Math.min(to, whole.to) } });
  const least = (whole.to - whole.from) / Math.max(1, series.times.length - 1);
  const move = (how: Move): void => setChosen({ of: series, part: moved(part, whole, how, least * 4) });
  return { series: shown, isDeep, measure, show, move };
}
