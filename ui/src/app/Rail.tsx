import type { ReactNode } from "react";
import type { ServerInfo } from "../data/api";
import { isCluster, slugOf } from "../data/servers";
import { To } from "../components/To";
import { EVERYWHERE, OF_HOST, OF_SERVER, type PageLink } from "./pages";

/** Where one can go from here. */
export function Rail({ server }: { server: ServerInfo | null }): ReactNode {
  return (
    <nav className="rail" aria-label="Pages">
      <div className="inside">
        {EVERYWHERE.map((page) => <Item key={page.path} page={page} path={page.path} />)}
        {server && (
          <>
            <h2>{server.name}</h2>
            {(isCluster(server) ? OF_SERVER : OF_HOST).map((page) => <Item key={page.path} page={page} path={`/s/${slugOf(server)}/${page.path}`} />)}
          </>
        )}
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
