import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { Copy } from "../../components/Copy";
import { Dialog } from "../../components/Dialog";
import { Grid, type GridColumn } from "../../components/Grid";
import { Failed } from "../../components/Panel";
import { ApiError, getJson, request } from "../../data/api";
import { dateTime, readField } from "../../data/format";
import { printTime } from "../../data/range";
import { type Row, textIn, timeOf } from "../../data/rows";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";

interface Token {
  id: string;
  name: string;
  scopes: string[];
  user_id: string | null;
  collector_id: string | null;
  created_at: string;
  expires_at: string | null;
}

const SCOPES: readonly (readonly [string, string])[] = [
  ["read", "read what you may read"],
  ["annotate", "say on charts what happened"],
  ["push", "send metrics"],
  ["write", "change what is not users or secrets"],
  ["admin", "what only admins may do"],
];

const asProblem = (error: unknown): ApiError => (error instanceof ApiError ? error : new ApiError(0, "failed", "It did not work."));

/** Who may get in, and with what. */
export function Access(): ReactNode {
  const { boot } = useSession();
  return (
    <>
      <div className="title"><h1>Access</h1><span className="muted">{boot.user.username ?? "you"}, role {boot.user.role}</span></div>
      <Tokens />
      <div className="grid2">
        <Password />
        <section className="panel" aria-label="People">
          <header><h2>People</h2></header>
          <p className="state">Users are added where the server runs, while it is stopped: <code>pganalytics-server user add NAME --role viewer</code>. A lost password is set anew with <code>pganalytics-server user reset-password NAME</code>.</p>
        </section>
      </div>
    </>
  );
}

function Tokens(): ReactNode {
  const { boot } = useSession();
  const { zone } = useSettings();
  const client = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const [ending, setEnding] = useState<Row | null>(null);
  const query = useQuery({ queryKey: ["tokens"], queryFn: async ({ signal }) => (await getJson<{ data: Token[] }>("tokens?page_size=1000", signal)).data });
  const rows = (query.data ?? []).map((token): Row => ({ ...token, scopes: token.scopes.join(", "), of: token.collector_id ? `collector ${token.collector_id.slice(0, 8)}` : `user ${(token.user_id ?? "").slice(0, 8)}` }));
  const isOver = (row: Row): boolean => row["expires_at"] !== null && timeOf(row["expires_at"]) < Date.now();
  const columns: GridColumn[] = [
    { id: "name", title: "Token", show: (row) => <strong>{textIn(row, "name")}</strong> },
    { id: "scopes", title: "For" },
    { id: "of", title: "Acts as" },
    { id: "created_at", title: "Made", show: (row) => dateTime(timeOf(row["created_at"]), zone) },
    { id: "expires_at", title: "Ends", show: (row) => (row["expires_at"] === null ? "never" : <span className={isOver(row) ? "badge warn" : ""}>{isOver(row) ? "! ended " : ""}{dateTime(timeOf(row["expires_at"]), zone)}</span>) },
    { id: "end", title: "End it", value: () => null, show: (row) => <button type="button" className="button" onClick={() => setEnding(row)}>Remove …</button> },
  ];
  const end = async (): Promise<void> => {
    await request("DELETE", `tokens/${textIn(ending ?? {}, "id")}`);
    setEnding(null);
    await client.invalidateQueries({ queryKey: ["tokens"] });
  };
  return (
    <section className="panel" aria-label="API tokens">
      <header>
        <h2>API tokens</h2>
        <span className="muted">{boot.user.role === "admin" ? "of everybody, and of collectors" : "your own"}</span>
        <button type="button" className="button" onClick={() => setOpen(true)}>New token …</button>
      </header>
      {query.error ? <Failed error={asProblem(query.error)} again={() => void query.refetch()} /> : !query.data ? <p className="state appear">Loading …</p> : rows.length > 0 ? <Grid label="API tokens" rows={rows} columns={columns} rowKey={(row) => textIn(row, "id")} sort="-created_at" /> : <p className="state">There is none. A token lets a program in: Grafana, a pipeline, a script.</p>}
      {isOpen && <NewToken close={() => { setOpen(false); void client.invalidateQueries({ queryKey: ["tokens"] }); }} />}
      {ending && (
        <Dialog title={`Remove ${textIn(ending, "name")}?`} close={() => setEnding(null)}>
          <p>It is refused from the next request on.</p>
          <p className="row"><button type="button" className="button primary" onClick={() => void end()}>Remove</button><button type="button" className="button" onClick={() => setEnding(null)}>Cancel</button></p>
        </Dialog>
      )}
    </section>
  );
}

/** The token is shown once, here. */
function NewToken({ close }: { close: () => void }): ReactNode {
  const { zone } = useSettings();
  const [made, setMade] = useState<string | null>(null);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const ends = String(form.get("expires") ?? "");
    try {
      const body = { name: String(form.get("name")).trim(), scopes: form.getAll("scope").map(String), ...(ends ? { expires_at: printTime(readField(ends, zone)) } : {}) };
      const answer = (await (await request("POST", "tokens", { body })).json()) as { token: string };
      setMade(answer.token);
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  if (made) {
    return (
      <Dialog title="Your new token" close={close}>
        <div className="stack">
          <p>It is shown this once. Keep it where secrets are kept.</p>
          <pre className="sqltext mono" data-secret>{made}</pre>
          <p className="row"><Copy text={made} /> <button type="button" className="button primary" onClick={close}>I have it</button></p>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title="New token" close={close}>
      <form className="stack" onSubmit={(event) => void submit(event)}>
        <label className="field">What it is for <input name="name" required maxLength={128} autoFocus placeholder="ci of shop" /></label>
        <fieldset className="stack">
          <legend>It may</legend>
          {SCOPES.map(([scope, words]) => <label key={scope}><input type="checkbox" name="scope" value={scope} defaultChecked={scope === "read"} /> {scope}: {words}</label>)}
        </fieldset>
        <label className="field">Until ({zone === "utc" ? "UTC" : "local time"}), empty: for ever <input type="datetime-local" name="expires" /></label>
        {problem && <Failed error={problem} />}
        <p className="row"><button type="submit" className="button primary">Make it</button><button type="button" className="button" onClick={close}>Cancel</button></p>
      </form>
    </Dialog>
  );
}

function Password(): ReactNode {
  const [problem, setProblem] = useState<string | null>(null);
  const [isDone, setDone] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget;
    const text = (name: string): string => String(new FormData(form).get(name));
    setDone(false);
    if (text("next") !== text("again")) return setProblem("The two new passwords are not the same.");
    try {
      await request("POST", "auth/change-password", { body: { current_password: text("current"), new_password: text("next") } });
      setProblem(null);
      setDone(true);
      form.reset();
    } catch (error) {
      setProblem(asProblem(error).message);
    }
  };
  return (
    <section className="panel" aria-label="Your password">
      <header><h2>Your password</h2><span className="muted">other sessions of yours end</span></header>
      <form className="stack" onSubmit={(event) => void submit(event)}>
        <label className="field">The present one <input type="password" name="current" required autoComplete="current-password" /></label>
        <label className="field">A new one, at least twelve characters <input type="password" name="next" required minLength={12} autoComplete="new-password" /></label>
        <label className="field">The same again <input type="password" name="again" required autoComplete="new-password" /></label>
        {problem && <p className="notice bad" role="alert">{problem}</p>}
        {isDone && <p className="notice" role="status">It is changed: log in with it.</p>}
        <p className="row"><button type="submit" className="button">Change it</button></p>
      </form>
    </section>
  );
}
