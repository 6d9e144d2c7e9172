import type { ReactNode } from "react";
import { Panel } from "../components/Panel";
import type { Page } from "../data/page";
import { SeriesChart, type SeriesProps } from "./SeriesChart";

interface Props extends Omit<SeriesProps, "page" | "label"> {
  page: Page;
  title: string;
  /** What the figures are, in small. */
  note: string;
  /** What to say where all was looked at and nothing was there. */
  nothing: string;
  actions?: ReactNode;
  /** Words beneath the chart. */
  children?: ReactNode;
}

/** A panel with the chart of a query of the page. */
export function ChartPanel({ page, title, note, nothing, actions, children, ...chart }: Props): ReactNode {
  const { data } = page;
  return (
    <Panel title={title} unit={note} id={chart.id} page={page} nothing={nothing} actions={actions} isChart>
      {() => data && (
        <>
          <SeriesChart page={data} label={title} {...chart} />
          {children}
        </>
      )}
    </Panel>
  );
}
