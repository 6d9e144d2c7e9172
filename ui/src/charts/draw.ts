import uPlot from "uplot";
import { type Zone, clock, dayAndTime, figure } from "../data/format";
import { resolved } from "./colors";
import type { Marks } from "./marks";

export interface Drawing {
  data: uPlot.AlignedData;
  unit: string;
  zone: Zone;
  /** Variables of the style, one for each line. */
  colors: string[];
  /** How many lines at the end belong to the other period. */
  others: number;
  isStack: boolean;
  limit: number | undefined;
  height: number;
  marks: () => Marks;
  hover: (at: number | null) => void;
  zoom: (from: number, to: number) => void;
}

/** Steps of an axis of bytes. */
const BYTES = Array.from({ length: 50 }, (_, power) => 2 ** power);

const faded = (color: string): string => (color.startsWith("#") ? `${color}d9` : color);

/** Makes the plot; whoever asks destroys it. */
export function draw(place: HTMLElement, drawing: Drawing): uPlot {
  const { data, unit, zone, colors, others, isStack, limit, height, marks, hover, zoom } = drawing;
  const [ink, line] = [resolved("--ink-2"), resolved("--line")];
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif" };
  const lines: uPlot.Series[] = colors.map((name) => {
    const color = resolved(name);
    return isStack
      ? { stroke: color, width: 1, fill: faded(color), points: { show: alone, size: 5, fill: color }, spanGaps: false }
      : { stroke: color, width: 1.75, points: { show: alone, size: 5, fill: color }, spanGaps: false };
  });
  const before: uPlot.Series[] = Array.from({ length: others }, () => ({
    stroke: resolved("--line-strong"),
    width: 1.5,
    dash: [5, 4],
    points: { show: false },
    spanGaps: false,
  }));
  const options: uPlot.Options = {
    width: Math.max(place.clientWidth, 200),
    height,
    legend: { show: false },
    cursor: {
      sync: { key: "page" },
      drag: { x: true, y: false, setScale: false, dist: 6 },
      points: { show: !isStack, size: 6 },
    },
    scales: { y: { range: (_, low, high) => spread(low, high, limit) } },
    axes: [
      { ...axis, size: 30, values: (_, ticks) => ticks.map((tick) => tickText(tick, ticks, zone)) },
      { ...axis, ...(unit === "B" || unit === "bytes" || unit === "B/s" ? { incrs: BYTES } : {}), size: (_, texts) => 18 + 7.2 * Math.max(3, ...(texts ?? []).map((text) => text.length)), values: (_, ticks) => ticks.map((tick) => figure(tick, unit)) },
    ],
    series: [{}, ...lines, ...before],
    hooks: {
      setCursor: [(plot) => hover(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 6) return;
          zoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      draw: [(plot) => events(plot, marks()), ...(limit === undefined ? [] : [(plot: uPlot) => across(plot, limit)])],
    },
  };
  return new uPlot(options, data, place);
}

/** A point with nothing on either side would not be seen. */
const alone = (plot: uPlot, at: number): boolean => {
  const values = plot.data[at] ?? [];
  return values.length < 40 || values.filter((value) => value !== null && value !== undefined).length < 4;
};

function spread(low: number | null, high: number | null, limit: number | undefined): [number, number] {
  const top = Math.max(high ?? 0, limit ?? 0);
  const bottom = Math.min(low ?? 0, 0);
  return [bottom, top > bottom ? top + (top - bottom) * 0.08 : bottom + 1];
}

function tickText(tick: number, ticks: number[], zone: Zone): string {
  const long = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0) > 86_400;
  const fine = (ticks[1] ?? 0) - (ticks[0] ?? 0) < 60;
  return long ? dayAndTime(tick * 1000, zone) : clock(tick * 1000, zone, fine);
}

function across(plot: uPlot, limit: number): void {
  const y = plot.valToPos(limit, "y", true);
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = resolved("--ink");
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

/** A tick for each event; a line through all charts for the one that is pointed at. */
function events(plot: uPlot, { all, pointed }: Marks): void {
  const { ctx, bbox } = plot;
  const [low, high] = [(plot.scales["x"]?.min ?? 0) * 1000, (plot.scales["x"]?.max ?? 0) * 1000];
  ctx.save();
  for (const { at, isBad } of all) {
    if (at < low || at > high) continue;
    const x = Math.round(plot.valToPos(at / 1000, "x", true));
    const isPointed = at === pointed;
    ctx.strokeStyle = ctx.fillStyle = resolved(isBad ? "--bad" : "--line-strong");
    ctx.lineWidth = (isPointed ? 2 : 1) * devicePixelRatio;
    ctx.globalAlpha = isPointed ? 1 : 0.45;
    ctx.setLineDash(isPointed ? [] : [2 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}
