import { useParams } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import { useIsFetching } from "@tanstack/react-query";
import { To } from "../components/To";
import { LoginDialog } from "../pages/Login";
import { findServer } from "../data/servers";
import { useSession } from "../data/session";
import { useTimes } from "../data/url";
import { Help } from "./Help";
import { Palette } from "./Palette";
import { Rail } from "./Rail";
import { ServerPicker } from "./ServerPicker";
import { TimePicker } from "./TimePicker";
import { UserMenu } from "./UserMenu";
import { useKeys } from "./keys";

export type Open = "palette" | "help" | null;

/** Everything around a page. */
export function Shell({ children }: { children: ReactNode }): ReactNode {
  const { boot, isExpired } = useSession();
  const { server: slug } = useParams({ strict: false }) as { server?: string };
  const found = slug ? findServer(boot.servers, slug) : null;
  const server = found && "server" in found ? found.server : null;
  const times = useTimes();
  const [open, setOpen] = useState<Open>(null);
  useKeys(server, setOpen);
  useEffect(() => {
    document.title = server ? `${server.name} · pgAnalytics` : "pgAnalytics";
  }, [server]);

  return (
    <div className="frame">
      <a className="skip button" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
        Skip to the page
      </a>
      <header className="top">
        <To path="/" className="brand">
          <Logo /> <span>pgAnalytics</span>
        </To>
        <ServerPicker server={server} />
        <span className="grow" />
        <TimePicker />
        <button type="button" className="button plain" onClick={() => setOpen("palette")} aria-label="Go to anything" title="Go to anything (Ctrl+K)">⌕</button>
        <button type="button" className="button plain" onClick={() => setOpen("help")} aria-label="Help and keys" title="Help and keys (?)">?</button>
        <UserMenu />
      </header>
      <Rail server={server} />
      <main className="main" id="main" tabIndex={-1}>
        {times.bad.length > 0 && (
          <p className="notice warn" role="status">
            The address has something that means nothing here: {times.bad.map(([name, text]) => `${name}=${text.slice(0, 60)}`).join(", ")}. It was left out.
          </p>
        )}
        <Busy />
        {children}
      </main>
      {open === "palette" && <Palette server={server} close={() => setOpen(null)} />}
      {open === "help" && <Help close={() => setOpen(null)} />}
      {isExpired && <LoginDialog />}
    </div>
  );
}

/** Says to screen readers that something is being fetched; the eye sees ages and figures change. */
function Busy(): ReactNode {
  const fetching = useIsFetching({ queryKey: ["page"] });
  return <span className="sr" data-fetching={fetching} />;
}

function Logo(): ReactNode {
  return (
    <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#2f6fb0" />
      <path d="M5 21h5l3-10 5 14 4-9h5" fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}
