import { type FormEvent, type ReactNode, useState } from "react";
import { Dialog } from "../components/Dialog";
import { ApiError, login } from "../data/api";
import { useSession } from "../data/session";
import { To } from "../components/To";

/** Asks who it is; nothing of it is kept. */
function LoginForm({ enter, isFirst }: { enter: () => void; isFirst: boolean }): ReactNode {
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      await login(String(form.get("username")), String(form.get("password")));
      enter();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : "It did not work.");
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <label className="field">User <input name="username" autoComplete="username" required autoFocus /></label>
      <label className="field">Password <input name="password" type="password" autoComplete="current-password" required /></label>
      {problem && <p className="notice bad" role="alert">{problem}</p>}
      <button type="submit" className="button primary" disabled={isBusy}>Log in</button>
      {isFirst && (
        <p className="muted">
          The first start of the server printed the admin’s password once. Lost it? <code>pganalytics-server user reset-password admin</code>.
          Nobody is there yet? <To path="/setup">Set it up</To>.
        </p>
      )}
    </form>
  );
}

export function LoginDoor({ enter }: { enter: () => void }): ReactNode {
  return (
    <main className="door">
      <section className="panel">
        <h1>pgAnalytics</h1>
        <LoginForm enter={enter} isFirst />
      </section>
    </main>
  );
}

/** Over the page: what is on it, and what was typed, stays. */
export function LoginDialog(): ReactNode {
  const { renewed } = useSession();
  return (
    <Dialog title="Your log-in has ended" close={null} className="login">
      <p className="muted">Log in again and go on where you were.</p>
      <LoginForm enter={renewed} isFirst={false} />
    </Dialog>
  );
}
