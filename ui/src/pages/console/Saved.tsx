import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { Dialog } from "../../components/Dialog";
import { Failed } from "../../components/Panel";
import { ApiError, getJson, request } from "../../data/api";
import type { Value } from "../../data/queryText";
import { readParams } from "./result";

export interface SavedQuery {
  id: string;
  name: string;
  sql: string;
  params: Value[];
  shared: boolean;
  author: string;
  mine: boolean;
}

interface Props {
  /** What is in the editor now. */
  present: () => { text: string; params: string };
  open: (query: SavedQuery) => void;
}

const asProblem = (error: unknown): ApiError => (error instanceof ApiError ? error : new ApiError(0, "failed", "It did not work."));

/** Queries that are kept: one's own, and those that others share. */
export function Saved({ present, open }: Props): ReactNode {
  const client = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const list = useQuery({ queryKey: ["saved-queries"], queryFn: async ({ signal }) => (await getJson<{ data: SavedQuery[] }>("saved-queries?page_size=1000", signal)).data });
  const anew = (): Promise<void> => client.invalidateQueries({ queryKey: ["saved-queries"] });
  const remove = async (query: SavedQuery): Promise<void> => {
    try {
      await request("DELETE", `saved-queries/${query.id}`);
      await anew();
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  const found = list.data ?? [];
  return (
    <section className="panel" aria-label="Saved queries">
      <header>
        <h2>Saved</h2>
        <span className="grow" />
        <button type="button" className="button" onClick={() => setOpen(true)}>Save …</button>
      </header>
      {list.error ? <Failed error={asProblem(list.error)} again={() => void list.refetch()} /> : found.length === 0 && <p className="muted">{list.data ? "Nothing is saved yet." : "Loading …"}</p>}
      {problem && <Failed error={problem} />}
      <ul>
        {found.map((query) => (
          <li key={query.id} className="row">
            <button type="button" className="button plain cut grow" title={query.sql.slice(0, 1000)} onClick={() => open(query)}>{query.name}</button>
            {query.shared && <span className="badge" title={`Kept by ${query.author}`}>{query.mine ? "shared" : query.author}</span>}
            {query.mine && <button type="button" className="button plain" aria-label={`Remove ${query.name}`} onClick={() => void remove(query)}>✕</button>}
          </li>
        ))}
      </ul>
      {isOpen && <SaveDialog present={present()} mine={found.filter((query) => query.mine)} close={() => { setOpen(false); void anew(); }} />}
    </section>
  );
}

function SaveDialog({ present, mine, close }: { present: { text: string; params: string }; mine: SavedQuery[]; close: () => void }): ReactNode {
  const [problem, setProblem] = useState<ApiError | null>(null);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const name = String(form.get("name")).trim();
    const params = readParams(present.params);
    if (!params) return setProblem(new ApiError(400, "bad_parameters", 'Parameters are a JSON array of plain values, as ["db1", 5, null].'));
    const same = mine.find((query) => query.name === name);
    const body = { name, sql: present.text, params, shared: form.get("shared") !== null };
    try {
      await request(same ? "PUT" : "POST", same ? `saved-queries/${same.id}` : "saved-queries", { body });
      close();
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  return (
    <Dialog title="Save this query" close={close}>
      <form className="stack" onSubmit={(event) => void submit(event)}>
        <label className="field">Name <input name="name" required maxLength={128} autoFocus /></label>
        <label><input type="checkbox" name="shared" /> Others see it too</label>
        <p className="muted">One of yours with the same name is replaced.</p>
        {problem && <Failed error={problem} />}
        <p className="row"><button type="submit" className="button primary">Save</button><button type="button" className="button" onClick={close}>Cancel</button></p>
      </form>
    </Dialog>
  );
}
