import { type ReactNode, useEffect, useState } from "react";
import { figure } from "../data/format";
import type { Page } from "../data/page";

/** How old the figures are, and what keeps new ones away. */
export function PageState({ page }: { page: Page }): ReactNode {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const { data, error } = page;
  if (error) {
    const since = data ? `What is shown is ${figure((now - data.at) / 1000, "s")} old.` : "";
    const away = error.status === 0 ? "The server does not answer; it is asked again by itself." : error.message;
    return (
      <p className="notice bad" role="alert">
        <span>{away} {since}</span>
        <button type="button" className="button" onClick={page.again}>Ask now</button>
      </p>
    );
  }
  if (!data) return null;
  const age = (now - data.at) / 1000;
  return <span className={age > 90 ? "badge warn" : "badge"} title="Age of what is shown">◷ {figure(Math.max(0, Math.round(age)), "s")} old</span>;
}
