import { type ReactNode, useEffect, useRef, useState } from "react";
import { useSearch, useSet } from "../data/url";

/** Words that a list must have; they stand in the address as `q`. */
export function Filter({ label, children }: { label: string; children?: ReactNode }): ReactNode {
  const search = useSearch();
  const set = useSet();
  const [text, setText] = useState(search["q"] ?? "");
  const timer = useRef(0);
  useEffect(() => setText(search["q"] ?? ""), [search]);
  const type = (value: string): void => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => set({ q: value }, { replace: true }), 150);
  };
  return (
    <div className="row">
      <label>
        <span className="sr">{label}</span>
        <input type="search" data-filter placeholder={`${label} ( / )`} value={text} onChange={(event) => type(event.target.value)} />
      </label>
      {children}
    </div>
  );
}
