import { type Row, timeOf } from "../../data/rows";

/** After two days without a good backup somebody should look. */
const STALE_MS = 2 * 86_400_000;

export const isStale = (row: Row, now: number): boolean => !row["last_backup"] || now - timeOf(row["last_backup"]) > STALE_MS;
