// The pages that navigation offers; the letter goes there after `g`.
export interface PageLink {
  word: string;
  sign: string;
  key: string;
  path: string;
}

export const EVERYWHERE: readonly PageLink[] = [
  { word: "Fleet", sign: "▦", key: "f", path: "/" },
  { word: "Explore", sign: "∿", key: "x", path: "/explore" },
  { word: "SQL", sign: "⌨", key: "s", path: "/sql" },
];

/** Below `/s/<host>/`: hosts have servers' places in addresses, and a page of their own. */
export const OF_HOST: readonly PageLink[] = [{ word: "Host", sign: "▣", key: "h", path: "host" }];

/** Below `/s/<server>/`. */
export const OF_SERVER: readonly PageLink[] = [
  { word: "Overview", sign: "◔", key: "o", path: "overview" },
  { word: "Queries", sign: "≡", key: "q", path: "queries" },
  { word: "Activity and locks", sign: "⇄", key: "a", path: "activity" },
  { word: "Waits", sign: "◴", key: "w", path: "waits" },
  { word: "Tables", sign: "▤", key: "t", path: "tables" },
  { word: "Indexes", sign: "⊞", key: "i", path: "indexes" },
  { word: "Vacuum", sign: "♺", key: "v", path: "vacuum" },
  { word: "Replication and WAL", sign: "⇶", key: "r", path: "replication" },
  { word: "Logs", sign: "☰", key: "l", path: "logs" },
];
