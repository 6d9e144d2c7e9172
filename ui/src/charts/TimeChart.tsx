import { type KeyboardEvent, type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import type uPlot from "uplot";
import { clock, figure } from "../data/format";
import { type Series, stacked } from "../data/series";
import { useLook, useSettings } from "../data/settings";
import { asSearch, useSet } from "../data/url";
import { Legend } from "./Legend";
import { colorName } from "./colors";
import { type Move, useDeep } from "./deep";
import { draw } from "./draw";
import { useMarks } from "./marks";
import { sentence } from "./sentence";
import { DataTable } from "./DataTable";

export interface ChartProps {
  label: string;
  unit: string;
  series: Series;
  /** The other period, on the same buckets. */
  before?: Series | undefined;
  isStack?: boolean;
  /** A line across, as the number of processors. */
  limit?: { value: number; label: string } | undefined;
  /** Seconds of a bucket. */
  step: number;
  height?: number;
}

const MOVES: readonly (readonly [string, string, Move])[] = [["←", "earlier", "earlier"], ["→", "later", "later"], ["+", "nearer", "nearer"], ["−", "wider", "wider"], ["⤢", "all of it", "all"]];

/** A chart over time. Drag to zoom; with the keyboard: arrows, Shift and arrows, Enter. */
export function TimeChart(props: ChartProps): ReactNode {
  const { label, unit, before, isStack = false, limit, step, height = 200 } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const [isTable, setTable] = useState(false);
  const [selected, setSelected] = useState<[number, number] | null>(null);
  const look = useLook();
  const { zone } = useSettings();
  const set = useSet();
  const { series, isDeep, measure, show, move } = useDeep(props.series, isStack);
  const marks = useMarks();
  const present = useRef(marks);
  present.current = marks;
  const zoom = useRef(show);
  zoom.current = isDeep ? show : (from, to) => set(asSearch({ from: from * 1000, to: to * 1000 }));

  const colors = useMemo(() => series.lines.map((line, place) => colorName(line.label, place)), [series]);
  const data = useMemo(() => {
    const lines = isStack ? stacked(series.lines) : series.lines.map((line) => line.values);
    // Drawn from behind: the highest of a stack first.
    const drawn = isStack ? [...lines].reverse() : lines;
    return [series.times, ...drawn, ...(before?.lines.map((line) => line.values) ?? [])] as uPlot.AlignedData;
  }, [series, before, isStack]);

  const shape = `${series.lines.map((line) => line.label).join("\n")}|${before?.lines.length ?? 0}|${limit?.value ?? ""}|${look}|${zone}|${unit}|${step}`;
  useEffect(() => {
    const place = box.current;
    if (!place || isTable) return;
    const made = draw(place, {
      data,
      unit,
      zone,
      colors: isStack ? [...colors].reverse() : colors,
      others: before?.lines.length ?? 0,
      isStack,
      limit: limit?.value,
      height,
      marks: () => present.current,
      hover: setAt,
      zoom: (from, to) => zoom.current(from, to),
    });
    plot.current = made;
    measure(place.clientWidth);
    const watcher = new ResizeObserver(() => {
      const width = Math.floor(place.clientWidth);
      if (width > 0 && width !== made.width) {
        made.setSize({ width, height });
        measure(width);
      }
    });
    watcher.observe(place);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Data alone does not make a new plot.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape, isStack, isTable, height, measure]);
  useEffect(() => plot.current?.setData(data), [data]);
  useEffect(() => plot.current?.redraw(false), [marks]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const last = series.times.length - 1;
    const here = at ?? last;
    const moves: Record<string, number> = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last };
    const to = moves[event.key];
    if (to !== undefined) {
      const next = Math.min(Math.max(to, 0), last);
      if (event.shiftKey) setSelected([selected?.[0] ?? here, next]);
      else setSelected(null);
      setAt(next);
      const x = plot.current?.valToPos(series.times[next] ?? 0, "x") ?? 0;
      plot.current?.setCursor({ left: x, top: 10 }, true);
    } else if (event.key === "Enter" && selected) {
      const [one, two] = [Math.min(...selected), Math.max(...selected)];
      const [from, until] = [series.times[one] ?? 0, (series.times[two] ?? 0) + step];
      zoom.current(from, until);
      setSelected(null);
    } else if (event.key === "Escape") {
      setSelected(null);
      setAt(null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const shown = at ?? null;
  const words = useMemo(() => sentence(label, unit, props.series, zone), [label, unit, props.series, zone]);
  return (
    <figure className="stack">
      {isTable ? (
        <DataTable label={label} unit={unit} series={props.series} />
      ) : (
        <div className="plot" ref={box} role="img" aria-label={words} tabIndex={0} onKeyDown={onKeyDown} />
      )}
      <div className="row foot">
        <div className="grow">
          <Legend lines={series.lines} colors={colors} at={shown} unit={unit} before={before} limit={limit} />
        </div>
        <span className="muted">{shown !== null && series.times[shown] !== undefined ? clock((series.times[shown] ?? 0) * 1000, zone) : ""}</span>
        <span className="sr" aria-live="polite">
          {shown !== null && selected
            ? `selected until ${clock((series.times[shown] ?? 0) * 1000, zone)}, Enter zooms`
            : shown !== null
              ? series.lines.slice(0, 4).map((line) => `${line.label} ${figure(line.values[shown], unit)}`).join(", ")
              : ""}
        </span>
        {isDeep && MOVES.map(([sign, words, how]) => (
          <button key={how} type="button" className="button plain" aria-label={`${label}: ${words}`} title={words} onClick={() => move(how)}>{sign}</button>
        ))}
        <button type="button" className="button plain" aria-pressed={isTable} onClick={() => setTable(!isTable)} aria-label={`${label} as a table`} title="As a table">
          ▤
        </button>
      </div>
    </figure>
  );
}
