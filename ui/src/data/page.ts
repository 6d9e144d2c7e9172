// What a page asks for: one batch, run anew while its range ends with the present.
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { ApiError } from "./api";
import { type BatchQuery, type Outcome, type Rows, runBatch } from "./batch";
import { catalogue } from "./catalogue";
import { type Value, expand } from "./queryText";
import { type Range, otherPeriod, parseTime, printTime, stepOf } from "./range";
import { useSession } from "./session";
import { type Times, useTimes } from "./url";

export interface Ask {
  id: string;
  /** Name in the catalogue. */
  query: string;
  values?: Record<string, Value>;
  /** Ask for the other period, where one is chosen. */
  other?: boolean;
  /** Rows that are enough; the order of the query says which. */
  most?: number;
  /** Seconds that the step is never under. */
  leastStep?: number;
}

export interface PageData {
  /** The range of the address, written out. */
  asked: Range;
  /** The buckets of it that are complete. */
  range: Range;
  other: Range | null;
  /** Seconds of a bucket. */
  step: number;
  outcomes: ReadonlyMap<string, Outcome>;
  sent: ReadonlyMap<string, Sent>;
  /** When the answer came. */
  at: number;
}

/** A query as it was sent, to show and to run again. */
export interface Sent {
  sql: string;
  params: Value[];
  name: string;
  /** Whether the page wants all rows. */
  isWhole: boolean;
}

/** Time after which a bucket has all that agents had to send. */
const LATE = 5_000;

/** The buckets of a range that are complete. */
export function completeBuckets(range: Range, step: number, now: number, interval: number): Range {
  const ms = step * 1000;
  const last = Math.min(range.to, now - interval * 1000 - LATE);
  return { from: Math.floor(range.from / ms) * ms, to: Math.max(Math.floor(last / ms) * ms, Math.floor(range.from / ms) * ms + ms) };
}

function valuesOf(range: Range, other: Range): Record<string, Value> {
  return {
    from: printTime(range.from),
    to: printTime(range.to),
    before_from: printTime(other.from),
    before_to: printTime(other.to),
  };
}

/** The period that is compared with: the one chosen, or one that is empty. */
const NEVER: Range = { from: Date.UTC(2000, 0, 1), to: Date.UTC(2000, 0, 1) };

/** `now` and `now-35s` are written out when a query is sent. */
function present(value: Value, now: number): Value {
  const at = typeof value === "string" && value.startsWith("now") ? parseTime(value, now) : null;
  return at === null ? value : printTime(at);
}

export interface Plan {
  asks: Ask[];
  values: Record<string, Value>;
}

interface Context {
  times: Times;
  now: number;
  interval: number;
  width: number;
}

/** Writes a page's queries out for the present. */
export function planned({ asks, values }: Plan, { times, now, interval, width }: Context): Omit<PageData, "outcomes" | "at"> & { queries: BatchQuery[] } {
  const range = times.resolve(now);
  const other = times.vs ? otherPeriod(range, times.vs) : null;
  const step = stepOf(range, width, Math.max(30, interval));
  const sent = new Map<string, Sent>();
  const queries: BatchQuery[] = [];
  for (const ask of asks) {
    if (ask.other && !other) continue;
    const query = catalogue.get(ask.query);
    if (!query) throw new Error(`there is no query ${ask.query}`);
    const own = Math.max(step, ask.leastStep ?? 0);
    const period = ask.other && other ? other : range;
    const asked = query.kind === "series" ? completeBuckets(period, own, now, interval) : period;
    const given = Object.entries(ask.values ?? {}).map(([param, value]) => [param, present(value, now)]);
    const all = { ...values, ...valuesOf(asked, other ?? NEVER), ...(Object.fromEntries(given) as Record<string, Value>) };
    const { sql, params } = expand(query, { step: own, values: all });
    sent.set(ask.id, { sql, params, name: ask.query, isWhole: ask.most === undefined });
    queries.push({ id: ask.id, sql, params, ...(ask.most ? { max_rows: ask.most } : {}) });
  }
  return { asked: range, range: completeBuckets(range, step, now, interval), other, step, sent, queries };
}

export interface Page {
  data: PageData | undefined;
  error: ApiError | null;
  isFetching: boolean;
  again: () => void;
}

const rowsOf = (data: PageData | undefined): Map<string, Rows> => {
  const rows = new Map<string, Rows>();
  for (const [id, outcome] of data?.outcomes ?? []) if ("rows" in outcome) rows.set(id, outcome.rows);
  return rows;
};

/** Time until the next try: longer and longer, never all tabs at once. */
export function pause(failures: number, retryAfter: number | null, random = Math.random()): number {
  if (retryAfter) return retryAfter * 1000 + random * 500;
  return Math.min(60, 2 ** Math.max(0, failures - 1)) * 1000 * (0.75 + random / 2);
}

/** Asks for a page's data. */
export function usePage(name: string, plan: Plan, isEnabled = true): Page {
  const { boot, ahead, isExpired } = useSession();
  const times = useTimes();
  const client = useQueryClient();
  const width = Math.min(Math.max(window.innerWidth, 320), 1600);
  const key = useMemo(
    () => ["page", name, times.from, times.to, times.vs, times.at, JSON.stringify(plan)],
    [name, times, plan],
  );
  const query = useQuery({
    queryKey: key,
    enabled: isEnabled,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }): Promise<PageData> => {
      const before = client.getQueryData<PageData>(key);
      const interval = boot.limits.collection_interval_seconds;
      const { queries, ...page } = planned(plan, { times, now: Date.now() + ahead, interval, width });
      const outcomes = new Map<string, Outcome>();
      const done = (): PageData => ({ ...page, outcomes: new Map(outcomes), at: Date.now() });
      await runBatch(queries, rowsOf(before), (id, outcome) => {
        outcomes.set(id, outcome);
        // The first time each panel shows its rows as they come; later all change at once.
        if (!before) client.setQueryData(key, done());
      }, signal);
      return done();
    },
    refetchInterval: (state) => {
      if (isExpired) return false;
      const { error, fetchFailureCount } = state.state;
      if (error) return pause(fetchFailureCount, error instanceof ApiError ? error.retryAfter : null);
      return times.isLive ? Math.min(Math.max(10, boot.limits.collection_interval_seconds), 30) * 1000 : false;
    },
  });
  const error = query.error instanceof ApiError ? query.error : query.error ? new ApiError(0, "failed", query.error.message) : null;
  return { data: query.data, error, isFetching: query.isFetching, again: () => void query.refetch() };
}

export function outcomeOf(page: Page, id: string): Outcome | undefined {
  return page.data?.outcomes.get(id);
}
