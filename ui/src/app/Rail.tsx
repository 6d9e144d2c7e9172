import type { ReactNode } from "react";
import { To } from "../components/To";
import type { ServerInfo } from "../data/api";
import { useKinds } from "../data/kinds";
import { slugOf } from "../data/servers";
import { EVERYWHERE, type PageLink, pagesOf } from "./pages";

/** Where one can go from here. */
export function Rail({ server }: { server: ServerInfo | null }): ReactNode {
  const kindOf = useKinds();
  return (
    <nav className="rail" aria-label="Pages">
      <div className="inside">
        {server && (
          <>
            <h2>{server.name}</h2>
            {pagesOf(kindOf(server)).map((page) => <Item key={page.path} page={page} path={`/s/${slugOf(server)}/${page.path}`} />)}
            <h2>All servers</h2>
          </>
        )}
        {EVERYWHERE.map((page) => <Item key={page.path} page={page} path={page.path} />)}
      </div>
    </nav>
  );
}

function Item({ page, path }: { page: PageLink; path: string }): ReactNode {
  return (
    <To path={path} title={`${page.word} (g ${page.key})`}>
      <span aria-hidden="true">{page.sign}</span> <span className="word">{page.word}</span>
    </To>
  );
}
