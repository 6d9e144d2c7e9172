import { type Zone, clock, figure } from "../data/format";
import type { Series } from "../data/series";

/** What a chart shows, for those who don't see it. */
export function sentence(label: string, unit: string, series: Series, zone: Zone): string {
  const parts = series.lines.slice(0, 6).map((line) => {
    let [low, high, peak] = [Infinity, -Infinity, 0];
    line.values.forEach((value, at) => {
      if (value === null) return;
      if (value < low) low = value;
      if (value > high) [high, peak] = [value, at];
    });
    if (high === -Infinity) return `${line.label}: nothing`;
    return `${line.label} ${figure(low, unit)} to ${figure(high, unit)}, peak at ${clock((series.times[peak] ?? 0) * 1000, zone, false)}`;
  });
  const more = series.lines.length > 6 ? `, and ${series.lines.length - 6} more` : "";
  return `${label}: ${parts.join("; ") || "nothing"}${more}`;
}
