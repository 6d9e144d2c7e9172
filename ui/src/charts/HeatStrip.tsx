import { type ReactNode, useEffect, useRef } from "react";
import { dateTime, figure } from "../data/format";
import { useLook, useSettings } from "../data/settings";
import { resolved } from "./colors";

interface Props {
  times: number[];
  values: (number | null)[];
  /** What the darkest colour stands for. */
  top: number;
  label: string;
  /** Called with the begin of the bucket that was chosen, in seconds. */
  choose: (at: number) => void;
}

/** A row of a heat map: one cell a bucket, nothing where nobody looked. */
export function HeatStrip({ times, values, top, label, choose }: Props): ReactNode {
  const box = useRef<HTMLCanvasElement>(null);
  const look = useLook();
  const { zone } = useSettings();
  useEffect(() => {
    const canvas = box.current;
    if (!canvas) return;
    const paint = (): void => {
      const [width, height] = [canvas.clientWidth, 24];
      const scale = window.devicePixelRatio || 1;
      canvas.width = Math.max(1, width * scale);
      canvas.height = height * scale;
      const context = canvas.getContext("2d");
      if (!context) return;
      context.scale(scale, scale);
      const heat = resolved("--heat");
      const cell = width / Math.max(values.length, 1);
      values.forEach((value, at) => {
        if (value === null) return;
        const part = Math.min(value / Math.max(top, 1e-9), 1);
        context.fillStyle = value > top ? resolved("--c-lock") : `rgba(${heat}, ${0.08 + part * 0.92})`;
        context.fillRect(at * cell, 0, Math.max(cell - (cell > 4 ? 1 : 0), 0.5), height);
      });
    };
    paint();
    const watcher = new ResizeObserver(paint);
    watcher.observe(canvas);
    return () => watcher.disconnect();
  }, [values, top, look]);
  const bucket = (event: React.MouseEvent<HTMLCanvasElement>): number => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    return Math.min(Math.max(Math.floor(((event.clientX - left) / width) * values.length), 0), values.length - 1);
  };
  const peak = values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
  return (
    <canvas
      ref={box}
      className="heat"
      height={24}
      role="img"
      aria-label={`${label}: at most ${figure(peak)} active sessions`}
      onClick={(event) => choose(times[bucket(event)] ?? 0)}
      onMouseMove={(event) => {
        const at = bucket(event);
        const value = values[at];
        event.currentTarget.title = `${dateTime((times[at] ?? 0) * 1000, zone)}: ${value === null || value === undefined ? "nobody looked" : `${figure(value)} active sessions`}`;
      }}
    />
  );
}
