import { type ReactNode, useMemo } from "react";
import { Filter } from "../../components/Filter";
import { PageState } from "../../components/PageState";
import { Panel } from "../../components/Panel";
import type { ServerInfo } from "../../data/api";
import { usePage } from "../../data/page";
import { asObjects } from "../../data/rows";
import { useSearch, useSet } from "../../data/url";
import { SeriesChart } from "../SeriesChart";
import { ServerScope } from "../ServerScope";
import { Entries } from "./Entries";

export function Logs(): ReactNode {
  return <ServerScope title="Logs">{(server) => <LogsOf key={server.id} server={server} />}</ServerScope>;
}

const SEVERITIES = ["", "PANIC", "FATAL", "ERROR", "WARNING", "LOG"];

/** A word as a pattern: its own % and _ are letters. */
export const patternOf = (words: string): string => `%${words.replace(/[\\%_]/g, (sign) => `\\${sign}`)}%`;

/** What did the server say, how often, about what? */
function LogsOf({ server }: { server: ServerInfo }): ReactNode {
  const search = useSearch();
  const set = useSet();
  const severity = SEVERITIES.includes(search["severity"] ?? "") ? (search["severity"] ?? "") : "";
  const pattern = patternOf(search["q"] ?? "");
  const plan = useMemo(
    () => ({
      asks: [
        { id: "histogram", query: "log_histogram" },
        { id: "entries", query: "log_entries", values: { severity, pattern } },
        { id: "why", query: "why" },
      ],
      values: { server: server.id },
    }),
    [server.id, severity, pattern],
  );
  const page = usePage("logs", plan);
  const { data } = page;
  const by = search["by"] === "class" ? "class" : "severity";
  return (
    <>
      <Filter label="Filter entries">
        {SEVERITIES.map((each) => <button key={each} type="button" className="chip" aria-pressed={severity === each} onClick={() => set({ severity: each })}>{each || "All"}</button>)}
        <PageState page={page} />
      </Filter>
      <Panel
        title="Entries"
        unit={`counted, by ${by}; complete also where entries were not kept`}
        id="histogram"
        page={page}
        nothing="Nothing was logged in this range, or the log can't be read."
        isChart
        actions={<button type="button" className="chip" onClick={() => set({ by: by === "class" ? "" : "class" }, { replace: true })}>by {by === "class" ? "severity" : "class"}</button>}
      >
        {() => data && <SeriesChart page={data} id="histogram" value="n" by={by} label="Entries" isStack />}
      </Panel>
      <Panel title="Newest entries" unit="500 at most; a range or a word narrows them" id="entries" page={page} nothing={search["q"] ? "No entry has these words." : "No entry in this range."}>
        {(rows) => <Entries rows={asObjects(rows)} server={server} />}
      </Panel>
    </>
  );
}
