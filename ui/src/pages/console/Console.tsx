import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { Failed } from "../../components/Panel";
import { save } from "../../components/save";
import { ApiError, request } from "../../data/api";
import type { Rows } from "../../data/batch";
import { tablesOf, useCatalog } from "../../data/catalog";
import { useSession } from "../../data/session";
import { useLook } from "../../data/settings";
import { useSearch, useSet } from "../../data/url";
import { AnswerView } from "./Answer";
import { Saved, type SavedQuery } from "./Saved";
import { Tables } from "./Tables";
import type { Editor } from "./editor";
import { placeOf, readParams } from "./result";

const FIRST = "select server, datname, numbackends, xact_commit\nfrom pg_stat_database_latest\norder by xact_commit desc\nlimit 20";

type State = { kind: "idle" } | { kind: "busy" } | { kind: "rows"; rows: Rows } | { kind: "failed"; error: ApiError; text: string };

/** SQL over every measurement. */
export function Console(): ReactNode {
  const search = useSearch();
  const set = useSet();
  const look = useLook();
  const { boot } = useSession();
  const { measurements } = useCatalog();
  const place = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const [text, setText] = useState(search["sql"] ?? FIRST);
  const [params, setParams] = useState(search["params"] ?? "");
  const [state, setState] = useState<State>({ kind: "idle" });
  const running = useRef<AbortController | null>(null);
  const latest = useRef({ text, params });
  latest.current = { text, params };

  const run = async (): Promise<void> => {
    const { text: sql, params: given } = latest.current;
    const values = readParams(given);
    if (!values) {
      setState({ kind: "failed", text: sql, error: new ApiError(400, "bad_parameters", 'Parameters are a JSON array of plain values, as ["db1", 5, null].') });
      return;
    }
    running.current?.abort();
    const controller = (running.current = new AbortController());
    setState({ kind: "busy" });
    set({ sql: sql.length < 6000 ? sql : "", params: given }, { replace: true });
    try {
      const answer = await request("POST", "sql", { body: { sql, params: values }, signal: controller.signal });
      setState({ kind: "rows", rows: { token: "", ...((await answer.json()) as Omit<Rows, "token">) } });
    } catch (error) {
      if (controller.signal.aborted) setState({ kind: "idle" });
      else setState({ kind: "failed", text: sql, error: error instanceof ApiError ? error : new ApiError(0, "failed", "The answer broke off.") });
    }
  };
  const runNow = useRef(run);
  runNow.current = run;
  const schema = useMemo(
    () => Object.fromEntries(measurements.flatMap((each) => tablesOf(each).map((table) => [table, ["time", "server", "server_id", "instance_id", "database_name", ...each.columns.map((column) => column.name)]]))),
    [measurements],
  );
  useEffect(() => {
    let isGone = false;
    void import("./editor").then(({ makeEditor }) => {
      if (isGone || !place.current) return;
      editor.current = makeEditor(place.current, {
        text: latest.current.text,
        isDark: look.startsWith("dark"),
        schema,
        run: () => void runNow.current(),
        change: setText,
      });
    });
    return () => {
      isGone = true;
      editor.current?.destroy();
      editor.current = null;
    };
  }, [look, schema]);
  useEffect(() => () => running.current?.abort(), []);
  const open = (query: SavedQuery): void => {
    const given = query.params.length > 0 ? JSON.stringify(query.params) : "";
    editor.current?.replace(query.sql);
    setText(query.sql);
    setParams(given);
    latest.current = { text: query.sql, params: given };
    void run();
  };
  const csv = async (): Promise<void> => {
    const answer = await request("POST", "sql", { body: { sql: text, params: readParams(params) ?? [] }, accept: "text/csv" });
    save(await answer.blob(), "pganalytics.csv");
  };
  const at = state.kind === "failed" ? placeOf(state.error.message, state.text) : null;

  return (
    <>
      <div className="title"><h1>SQL</h1><span className="muted">over every measurement; it only reads</span></div>
      <div className="columns">
        <div className="stack">
          <Saved present={() => latest.current} open={open} />
          <Tables measurements={measurements} insert={(piece) => editor.current?.insert(piece)} />
        </div>
        <div className="stack">
          <div className="editor" ref={place} />
          <div className="row">
            <button type="button" className="button primary" onClick={() => void run()} disabled={state.kind === "busy"}>Run (Ctrl+Enter)</button>
            {state.kind === "busy" && <button type="button" className="button" onClick={() => running.current?.abort()}>Stop</button>}
            <label>Parameters <input value={params} placeholder='["db1", 5]' onChange={(event) => setParams(event.target.value)} /></label>
            <span className="grow" />
            {state.kind === "rows" && <button type="button" className="button" onClick={() => void csv()}>All rows as CSV</button>}
          </div>
          <section className="panel" aria-label="Answer" aria-live="polite">
            {state.kind === "idle" && <p className="state">Every measurement is a table: all its rows, <code>_latest</code>, and <code>_delta</code> with counters as increases. At most {boot.limits.max_rows.toLocaleString("en")} rows and {boot.limits.query_timeout_seconds} s.</p>}
            {state.kind === "busy" && <p className="state appear">Running …</p>}
            {state.kind === "failed" && (
              <>
                <Failed error={state.error} again={() => void run()} />
                {at && <pre className="sqltext mono">{state.text.split("\n")[at.line - 1]}{"\n"}{" ".repeat(Math.max(0, at.column - 1))}^</pre>}
              </>
            )}
            {state.kind === "rows" && <AnswerView answer={state.rows} />}
          </section>
        </div>
      </div>
    </>
  );
}
