import { type ReactNode, useMemo } from "react";
import { To } from "../../components/To";
import type { ServerInfo } from "../../data/api";
import { figure, oneLine } from "../../data/format";
import type { Row } from "../../data/rows";
import { slugOf } from "../../data/servers";
import { topOf } from "./cube";

interface Props {
  title: string;
  dimension: string;
  cells: Row[];
  server: ServerInfo;
  turn: (dimension: string, value: string, isOut: boolean) => void;
  /** What a value is called. */
  named: (value: string) => string;
}

/** The largest values of a dimension. */
export function Top({ title, dimension, cells, server, turn, named }: Props): ReactNode {
  const top = useMemo(() => topOf(cells, dimension), [cells, dimension]);
  return (
    <div className="table" role="region" aria-label={title} tabIndex={0}>
      <table>
        <thead>
          <tr><th scope="col"><span>{title}</span></th><th scope="col" className="num"><span>Share</span></th><th scope="col" className="num"><span>Time</span></th></tr>
        </thead>
        <tbody>
          {top.slice(0, 12).map(({ value, seconds, share }) => (
            <tr key={value}>
              <td className="name">
                <button type="button" className="button plain cut" onClick={(event) => turn(dimension, value, event.altKey)} title={named(value)}>{oneLine(named(value), 120)}</button>
              </td>
              <td className="num">{figure(share, "ratio")}</td>
              <td className="num">{figure(seconds, "s")} {dimension === "query_id" && value !== "" && <To path={`/s/${slugOf(server)}/queries/${value}`} title="Its page">→</To>}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {top.length > 12 && <p className="state">and {top.length - 12} more</p>}
    </div>
  );
}
