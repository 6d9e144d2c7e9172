import { type ReactNode, useState } from "react";

/** Copies a text, and says so. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }): ReactNode {
  const [isDone, setDone] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard?.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return (
    <button type="button" className="button" onClick={() => void copy()}>
      <span aria-live="polite">{isDone ? "Copied" : label}</span>
    </button>
  );
}
