import { type FormEvent, type ReactNode, useState } from "react";
import { ApiError, setup } from "../data/api";
import { base } from "../data/base";
import { To } from "../components/To";

/** Makes the first admin of an empty installation. */
export function Setup(): ReactNode {
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string): string => String(form.get(name));
    if (text("password") !== text("again")) {
      setProblem("The two passwords are not the same.");
      return;
    }
    try {
      await setup(text("token").trim(), text("username"), text("password"));
      location.assign(base);
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : "It did not work.");
    }
  };
  return (
    <main className="door">
      <section className="panel">
        <h1>Set up pgAnalytics</h1>
        <p className="muted">The server printed a set-up token at its start, or was given one in <code>PGANALYTICS_SETUP_TOKEN</code>.</p>
        <form onSubmit={(event) => void submit(event)}>
          <label className="field">Set-up token <input name="token" required autoComplete="off" spellCheck={false} /></label>
          <label className="field">User <input name="username" required autoComplete="username" defaultValue="admin" /></label>
          <label className="field">Password, at least twelve characters <input name="password" type="password" required minLength={12} autoComplete="new-password" /></label>
          <label className="field">The same again <input name="again" type="password" required autoComplete="new-password" /></label>
          {problem && <p className="notice bad" role="alert">{problem}</p>}
          <button type="submit" className="button primary">Make the admin</button>
        </form>
        <p><To path="/">Log in instead</To></p>
      </section>
    </main>
  );
}
