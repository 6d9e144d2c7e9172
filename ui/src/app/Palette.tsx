import { type KeyboardEvent, type ReactNode, useId, useMemo, useState } from "react";
import { Dialog } from "../components/Dialog";
import type { ServerInfo } from "../data/api";
import { useKinds } from "../data/kinds";
import { slugOf } from "../data/servers";
import { useSession } from "../data/session";
import { EVERYWHERE, pagesOf } from "./pages";
import { useGo } from "./go";

interface Place {
  words: string;
  about: string;
  path: string;
}

/** Whether the letters of the query are there in their order; lower is better, null: no. */
export function closeness(query: string, words: string): number | null {
  const text = words.toLowerCase();
  let [at, cost] = [-1, 0];
  for (const letter of query.toLowerCase().replace(/\s+/g, "")) {
    const next = text.indexOf(letter, at + 1);
    if (next < 0) return null;
    cost += next - at - 1;
    at = next;
  }
  return cost;
}

/** Goes to any page of any server. */
export function Palette({ server, close }: { server: ServerInfo | null; close: () => void }): ReactNode {
  const { boot } = useSession();
  const go = useGo();
  const kindOf = useKinds();
  const [query, setQuery] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useId();
  const places = useMemo<Place[]>(() => {
    const ofServer = (each: ServerInfo): Place[] =>
      pagesOf(kindOf(each)).map((page) => ({ words: `${each.name} ${page.word}`, about: each.state === "silent" ? "silent" : "server", path: `/s/${slugOf(each)}/${page.path}` }));
    const others = boot.servers.filter((each) => each.id !== server?.id);
    return [
      ...(server ? [...ofServer(server), ...server.databases.map((name) => ({ words: `${server.name} ${name}`, about: "database", path: `/s/${slugOf(server)}/db/${encodeURIComponent(name)}` }))] : []),
      ...EVERYWHERE.map((page) => ({ words: page.word, about: "all servers", path: page.path })),
      { words: "Preferences", about: "you", path: "/settings" },
      ...others.flatMap(ofServer),
    ];
  }, [boot.servers, server, kindOf]);
  const found = useMemo(() => {
    const scored = places.flatMap((place) => {
      const cost = closeness(query, place.words);
      return cost === null ? [] : [{ place, cost }];
    });
    return (query ? scored.sort((a, b) => a.cost - b.cost) : scored).slice(0, 50).map(({ place }) => place);
  }, [places, query]);
  const enter = (place: Place | undefined): void => {
    if (!place) return;
    close();
    go(place.path);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by !== 0) setChosen((at) => Math.min(Math.max(at + by, 0), found.length - 1));
    else if (event.key === "Enter") enter(found[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Go to" close={close} className="palette">
      <input
        role="combobox"
        aria-label="Go to a page or a server"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={found[chosen] ? `${list}-${chosen}` : undefined}
        placeholder="Go to a page or a server"
        autoFocus
        value={query}
        onChange={(event) => {
          setQuery(event.target.value);
          setChosen(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div role="listbox" id={list} aria-label="Places">
        {found.map((place, at) => (
          <div key={place.path} id={`${list}-${at}`} role="option" aria-selected={at === chosen} onClick={() => enter(place)}>
            <span className="grow">{place.words}</span>
            <span className="muted">{place.about}</span>
          </div>
        ))}
        {found.length === 0 && <div role="option" aria-selected="false" aria-disabled="true">Nothing has these letters</div>}
      </div>
    </Dialog>
  );
}
