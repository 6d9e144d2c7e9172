import type { ReactNode } from "react";

interface Props {
  values: (number | null)[];
  /** What full height stands for; more is drawn full. */
  top: number;
  label: string;
}

/** A small line; a gap stays a gap. */
export function Spark({ values, top, label }: Props): ReactNode {
  const [width, height] = [110, 22];
  const step = width / Math.max(values.length - 1, 1);
  let path = "";
  values.forEach((value, at) => {
    if (value === null) return;
    const y = height - 1 - (Math.min(value, top) / Math.max(top, 1e-9)) * (height - 2);
    const isStart = at === 0 || values[at - 1] === null;
    path += `${isStart ? "M" : "L"}${(at * step).toFixed(1)} ${y.toFixed(1)}`;
    if (isStart && (values[at + 1] ?? null) === null) path += "h1";
  });
  return (
    <svg className="spark" width={width} height={height} role="img" aria-label={label}>
      <path d={path} fill="none" stroke="var(--c-1)" strokeWidth="1.5" />
    </svg>
  );
}
