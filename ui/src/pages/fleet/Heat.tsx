import type { ReactNode } from "react";
import { useGo } from "../../app/go";
import { HeatStrip } from "../../charts/HeatStrip";
import { To } from "../../components/To";
import { printTime } from "../../data/range";
import type { Series } from "../../data/series";

interface Props {
  load: Series;
  nameOf: (id: string) => string;
  slug: (id: string) => string;
}

/** Servers by time; a cell leads to that moment. */
export function Heat({ load, nameOf, slug }: Props): ReactNode {
  const go = useGo();
  const top = Math.max(0.01, ...load.lines.flatMap((line) => line.values.map((value) => value ?? 0)));
  return (
    <div className="heatwrap">
      {load.lines.map((line) => [
        <To key={`${line.label}n`} path={`/s/${slug(line.label)}/overview`}>{nameOf(line.label)}</To>,
        <HeatStrip
          key={line.label}
          times={load.times}
          values={line.values}
          top={top}
          label={nameOf(line.label)}
          choose={(at) => go(`/s/${slug(line.label)}/activity`, { at: printTime(at * 1000) })}
        />,
      ])}
    </div>
  );
}
