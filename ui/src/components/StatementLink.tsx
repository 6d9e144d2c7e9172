import type { ReactNode } from "react";
import { oneLine } from "../data/format";
import { type Row, textIn } from "../data/rows";
import { To } from "./To";

interface Props {
  /** Of its server. */
  slug: string;
  row: Row;
  /** The column with its id. */
  id?: string;
  /** Most characters of its text. */
  most?: number;
}

/** A statement in a list: its text, or its id where that is not known, and the way to its page. */
export function StatementLink({ slug, row, id = "queryid", most = 160 }: Props): ReactNode {
  const queryid = textIn(row, id);
  return <To path={`/s/${slug}/queries/${queryid}`} className="cut mono">{oneLine(row["query"] ?? `queryid ${queryid}`, most)}</To>;
}
