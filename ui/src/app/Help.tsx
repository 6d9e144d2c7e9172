import type { ReactNode } from "react";
import { Dialog } from "../components/Dialog";
import { KEYS } from "./keys";

export function Help({ close }: { close: () => void }): ReactNode {
  return (
    <Dialog title="Help" close={close}>
      <dl className="keys">
        {KEYS.map(([key, words]) => (
          <div key={key} className="row">
            <dt><kbd>{key}</kbd></dt>
            <dd>{words}</dd>
          </div>
        ))}
        <div className="row">
          <dt><kbd>← →</kbd></dt>
          <dd>In a chart: the figures of a step; with Shift a selection, Enter zooms into it</dd>
        </div>
      </dl>
      <p className="muted">A line that stops is a gap: nobody looked. “≥” and a badge say that a figure is a lower bound. Single letters can be switched off in the settings.</p>
      <p className="row">
        <button type="button" className="button primary" onClick={close}>Close</button>
      </p>
    </Dialog>
  );
}
