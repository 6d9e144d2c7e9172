import type { ReactNode } from "react";
import { Menu } from "../components/Menu";
import { useSession } from "../data/session";
import { change, useSettings } from "../data/settings";
import { useGo } from "./go";

/** Looks, settings, and the way out. */
export function UserMenu(): ReactNode {
  const { boot, leave } = useSession();
  const { theme } = useSettings();
  const go = useGo();
  return (
    <Menu label="You and this browser" words={<>{boot.user.username ?? "you"} ▾</>} className="button">
      <p className="muted row">Role: {boot.user.role}</p>
      {(["auto", "light", "dark"] as const).map((each) => (
        <button key={each} type="button" className="button item" aria-pressed={theme === each} onClick={() => change({ theme: each })}>
          {{ auto: "Looks as the system", light: "Light", dark: "Dark" }[each]}
        </button>
      ))}
      <button type="button" className="button item" onClick={() => go("/settings")}>Preferences</button>
      <button type="button" className="button item" onClick={() => void leave()}>Log out everywhere</button>
      <p className="muted">pgAnalytics {boot.version.version}</p>
    </Menu>
  );
}
