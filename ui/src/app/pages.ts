// The pages that navigation offers; the letter goes there after `g`. Where a server is
// open its own pages have the letters, else those of all servers.
import type { Kind } from "../data/kinds";

export interface PageLink {
  word: string;
  sign: string;
  key: string;
  path: string;
}

export const EVERYWHERE: readonly PageLink[] = [
  { word: "Fleet", sign: "▦", key: "f", path: "/" },
  { word: "Queries", sign: "≡", key: "q", path: "/queries" },
  { word: "Activity", sign: "⇄", key: "a", path: "/activity" },
  { word: "Logs", sign: "☰", key: "l", path: "/logs" },
  { word: "Events", sign: "⚑", key: "e", path: "/events" },
  { word: "Collectors", sign: "⇡", key: "c", path: "/collectors" },
  { word: "Explore", sign: "∿", key: "x", path: "/explore" },
  { word: "SQL", sign: "⌨", key: "s", path: "/sql" },
  { word: "Access", sign: "◉", key: "p", path: "/admin/tokens" },
];

/** Below `/s/<host>/`: hosts have servers' places in addresses, and a page of their own. */
export const OF_HOST: readonly PageLink[] = [{ word: "Host", sign: "▣", key: "h", path: "host" }];
export const OF_POOLER: readonly PageLink[] = [{ word: "Pooler", sign: "⋈", key: "o", path: "pooler" }];
export const OF_BACKUPS: readonly PageLink[] = [{ word: "Backups", sign: "⛁", key: "b", path: "backups" }];

/** Below `/s/<server>/`. */
export const OF_SERVER: readonly PageLink[] = [
  { word: "Overview", sign: "◔", key: "o", path: "overview" },
  { word: "Queries", sign: "≡", key: "q", path: "queries" },
  { word: "Activity and locks", sign: "⇄", key: "a", path: "activity" },
  { word: "Waits", sign: "◴", key: "w", path: "waits" },
  { word: "Tables", sign: "▤", key: "t", path: "tables" },
  { word: "Indexes", sign: "⊞", key: "i", path: "indexes" },
  { word: "Vacuum", sign: "♺", key: "v", path: "vacuum" },
  { word: "Replication", sign: "⇶", key: "r", path: "replication" },
  { word: "WAL and slots", sign: "⇥", key: "u", path: "wal" },
  { word: "Backups", sign: "⛁", key: "b", path: "backups" },
  { word: "Logs", sign: "☰", key: "l", path: "logs" },
  { word: "Settings", sign: "⚙", key: "n", path: "settings" },
  { word: "Events", sign: "⚑", key: "e", path: "events" },
];

export function pagesOf(kind: Kind): readonly PageLink[] {
  switch (kind) {
    case "cluster":
      return OF_SERVER;
    case "pooler":
      return OF_POOLER;
    case "backups":
      return OF_BACKUPS;
    case "host":
      return OF_HOST;
  }
}

/** Letters after `g`, with what each may lead to. */
export const LETTERS: readonly (readonly [string, string])[] = [...new Set([...OF_SERVER, ...OF_HOST, ...EVERYWHERE].map((page) => page.key))].map((key) => {
  const words = [...OF_SERVER, ...OF_HOST].filter((page) => page.key === key).map((page) => page.word);
  const everywhere = EVERYWHERE.filter((page) => page.key === key).map((page) => (words.length > 0 ? `${page.word} of all servers` : page.word));
  return [key, [...words, ...everywhere].join("; ")] as const;
});
