import { type ReactNode, useRef, useState } from "react";
import { useGo } from "../app/go";
import { ApiError, request } from "../data/api";
import type { Rows } from "../data/batch";
import { catalogue } from "../data/catalogue";
import { dateTime } from "../data/format";
import type { PageData, Sent } from "../data/page";
import { asSearch } from "../data/url";
import { Menu } from "./Menu";
import { Origin } from "./Origin";
import { save } from "./save";
import { markdown, picture } from "./take";

interface Props {
  title: string;
  unit: string;
  sent: Sent;
  data: PageData;
  rows: Rows | null;
  isChart: boolean;
}

/** This page as it is now, for somebody else: the present is written out. */
export function frozenAddress(href: string, data: Pick<PageData, "asked">): string {
  const url = new URL(href);
  for (const [name, value] of Object.entries(asSearch(data.asked))) url.searchParams.set(name, value);
  return url.href;
}

/** Takes a panel along. */
export function PanelMenu({ title, unit, sent, data, rows, isChart }: Props): ReactNode {
  const go = useGo();
  const place = useRef<HTMLSpanElement>(null);
  const [said, say] = useState("");
  const [isOrigin, setOrigin] = useState(false);
  const address = (): string => frozenAddress(location.href, data);
  const copy = (text: string): void => {
    navigator.clipboard?.writeText(text).then(() => say("Copied"), () => say("This browser does not let pages copy here."));
  };
  const csv = async (): Promise<void> => {
    try {
      const answer = await request("POST", "sql", { body: { sql: sent.sql, params: sent.params }, accept: "text/csv" });
      save(await answer.blob(), `${sent.name}.csv`);
    } catch (error) {
      say(error instanceof ApiError ? error.message : "It did not work.");
    }
  };
  const png = async (): Promise<void> => {
    const panel = place.current?.closest("[data-panel]");
    const about = [document.title.replace(" · pgAnalytics", ""), unit, `${dateTime(data.range.from, "utc")} to ${dateTime(data.range.to, "utc")} UTC`].filter(Boolean).join(" · ");
    const image = panel ? await picture(panel, { title, about, address: address(), at: data.at }) : null;
    if (image) save(image, `${sent.name}.png`);
    else say("There is nothing drawn.");
  };
  return (
    <span ref={place} className="row">
      {said && <span className="muted" role="status">{said}</span>}
      <Menu label={`Take along: ${title}`} sign="⋯">
        {isChart && <button type="button" className="button item" onClick={() => void png()}>Picture (PNG)</button>}
        <button type="button" className="button item" onClick={() => void csv()}>All rows as CSV</button>
        {rows && <button type="button" className="button item" onClick={() => copy(markdown(title, address(), rows, catalogue.get(sent.name)?.units ?? {}))}>Copy as Markdown</button>}
        <button type="button" className="button item" onClick={() => copy(address())}>Copy link to this time</button>
        <button type="button" className="button item" onClick={() => setOrigin(true)}>Where it comes from</button>
        <button type="button" className="button item" onClick={() => copy(sent.sql)}>Copy its SQL</button>
        <button type="button" className="button item" onClick={() => go("/sql", { sql: sent.sql, params: JSON.stringify(sent.params) })}>Open in the SQL console</button>
      </Menu>
      {isOrigin && <Origin title={title} sent={sent} close={() => setOrigin(false)} />}
    </span>
  );
}
