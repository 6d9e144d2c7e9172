import { type FormEvent, type ReactNode, useState } from "react";
import { Dialog } from "../../components/Dialog";
import { type Annotation, isWebAddress, useAnnotate } from "../../data/annotations";
import { ApiError } from "../../data/api";
import { forField, readField } from "../../data/format";
import { type Range, printTime } from "../../data/range";
import { useSession } from "../../data/session";
import { useSettings } from "../../data/settings";

const wordsFor = (error: unknown): string => (error instanceof ApiError ? error.message : "It did not work.");

/** A button, and the dialog in which somebody says what happened. */
export function Annotate({ range, serverId }: { range: Range; serverId: string | null }): ReactNode {
  const { boot } = useSession();
  const [isOpen, setOpen] = useState(false);
  if (!boot.user.permissions.includes("annotate")) return null;
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>Note …</button>
      {isOpen && <NoteDialog range={range} serverId={serverId} close={() => setOpen(false)} />}
    </>
  );
}

function NoteDialog({ range, serverId, close }: { range: Range; serverId: string | null; close: () => void }): ReactNode {
  const { zone } = useSettings();
  const { boot } = useSession();
  const { add } = useAnnotate();
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string): string => String(form.get(name) ?? "").trim();
    const [time, until] = [readField(text("time"), zone), text("until") ? readField(text("until"), zone) : null];
    const tags = text("tags").split(/[\s,]+/).filter(Boolean);
    try {
      await add({
        title: text("title"),
        time: printTime(time),
        tags,
        ...(until === null ? {} : { until: printTime(until) }),
        ...(text("server") ? { server_id: text("server") } : {}),
        ...(text("url") ? { url: text("url") } : {}),
      });
      close();
    } catch (error) {
      setProblem(wordsFor(error));
    }
  };
  return (
    <Dialog title="What happened?" close={close}>
      <form className="stack" onSubmit={(event) => void submit(event)}>
        <label className="field">In a line <input name="title" required maxLength={200} autoFocus placeholder="shop 1.4 deployed" /></label>
        <label className="field">When ({zone === "utc" ? "UTC" : "local time"}) <input type="datetime-local" name="time" required defaultValue={forField(range.to, zone)} /></label>
        <label className="field">Until, if it lasted <input type="datetime-local" name="until" /></label>
        <label className="field">
          Where
          <select name="server" defaultValue={serverId ?? ""}>
            <option value="">all servers</option>
            {boot.servers.map((each) => <option key={each.id} value={each.id}>{each.name.slice(0, 60)}</option>)}
          </select>
        </label>
        <label className="field">Tags <input name="tags" placeholder="deploy shop" /></label>
        <label className="field">More about it <input name="url" type="url" placeholder="https://" /></label>
        {problem && <p className="notice bad" role="alert">{problem}</p>}
        <p className="row">
          <button type="submit" className="button primary">Keep it</button>
          <button type="button" className="button" onClick={close}>Cancel</button>
        </p>
      </form>
    </Dialog>
  );
}

/** Where a note leads, and its end. */
export function NoteActions({ note, done }: { note: Annotation; done?: () => void }): ReactNode {
  const { boot } = useSession();
  const { remove } = useAnnotate();
  const [problem, setProblem] = useState("");
  const end = (): void => {
    remove(note.id).then(done, (error: unknown) => setProblem(wordsFor(error)));
  };
  return (
    <span className="row">
      {isWebAddress(note.url) && <a href={note.url} target="_blank" rel="noreferrer noopener">more about it ↗</a>}
      {note.mine && boot.user.permissions.includes("annotate") && <button type="button" className="button" onClick={end}>Remove</button>}
      {problem && <span role="alert" className="badge bad">{problem}</span>}
    </span>
  );
}
