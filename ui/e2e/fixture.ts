// A page that fails its test for whatever goes wrong in it: a refused script or style, an error, a warning of React.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Page, test as base, expect } from "@playwright/test";
import { PASSWORD } from "./servers";

export const full = (): string => process.env["PGA_FULL"] ?? "";
export const empty = (): string => process.env["PGA_EMPTY"] ?? "";

interface Watched {
  /** Errors of the console that a test expects. */
  expected: RegExp[];
}

export const test = base.extend<{ watched: Watched }>({
  watched: [
    async ({ page }, use) => {
      // The browser itself says so when a log-in is asked for.
      const watched: Watched = { expected: [/status of 401/] };
      const wrong: string[] = [];
      page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
      page.on("console", (message) => {
        const text = message.text();
        const matters = ["error", "warning"].includes(message.type()) || text.startsWith("REFUSED");
        if (matters && !watched.expected.some((each) => each.test(text))) wrong.push(text);
      });
      page.on("response", (answer) => {
        if (answer.status() === 404) wrong.push(`not there: ${answer.url()}`);
      });
      await page.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (event) => console.log(`REFUSED ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
      });
      await use(watched);
      expect(wrong).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

export async function logIn(page: Page, server: string, path: string | null = "/"): Promise<void> {
  const answer = await page.request.post(`${server}/api/v1/auth/login?cookie=true`, { data: { username: "admin", password: PASSWORD } });
  expect(answer.status()).toBe(200);
  if (path !== null) await page.goto(server + path);
}

/** The list of this name, not the panel around it. */
export const list = (page: Page, name: string) => page.locator("div.table").and(page.getByRole("region", { name, exact: true }));

/** Waits until all that the page asked for is there. */
export async function settled(page: Page): Promise<void> {
  await expect(page.locator("h1").first()).toBeVisible();
  await expect(page.locator("[data-fetching='0']")).toBeAttached();
  await expect(page.getByText("Loading …")).toHaveCount(0);
}

export interface Boot {
  servers: { id: string; name: string; databases: string[] }[];
}

export async function clusterSlug(page: Page): Promise<string> {
  const boot = (await (await page.request.get(`${full()}/api/v1/ui/bootstrap`)).json()) as Boot;
  const server = boot.servers.find((each) => each.databases.length > 0);
  if (!server) throw new Error("no cluster reports");
  return `${server.name.replaceAll(":", "-")}.${server.id.slice(0, 8)}`;
}

/** Address of the server that has rows in this measurement. */
export async function slugOf(page: Page, measurement: string): Promise<string> {
  const [row] = await sql(page, `select cast(server_id as text) from ${measurement}_latest limit 1`);
  return `it.${String(row?.[0]).slice(0, 8)}`;
}

export async function sql(page: Page, text: string): Promise<(string | number | null)[][]> {
  const login = await page.request.post(`${full()}/api/v1/auth/login`, { data: { username: "admin", password: PASSWORD } });
  const { token } = (await login.json()) as { token: string };
  const answer = await page.request.post(`${full()}/api/v1/sql`, { data: { sql: text }, headers: { Authorization: `Bearer ${token}` } });
  return ((await answer.json()) as { rows: (string | number | null)[][] }).rows;
}

interface Known {
  slug: string;
  host: string;
  backups: string;
  pooler: string;
  queryid: string;
  relation: string;
  collector: string;
}

let found: Known | undefined;

/** Something of each kind that has a page: of the demo's database `shop`. */
export async function known(page: Page): Promise<Known> {
  if (found) return found;
  const one = async (text: string): Promise<string> => String((await sql(page, text))[0]?.[0]);
  found = {
    slug: await clusterSlug(page),
    host: await slugOf(page, "host_inventory"),
    backups: await slugOf(page, "pgbackrest_info"),
    pooler: process.env["PGA_POOLER"] ? await slugOf(page, "pgbouncer_up") : "nothing.00000000",
    queryid: await one("select cast(queryid as text) from pg_stat_statements_latest where datname = 'shop' order by total_exec_time desc limit 1"),
    relation: await one("select cast(relid as text) from pg_stat_user_tables_latest where database_name = 'shop' and relname = 'stock' limit 1"),
    collector: await one("select cast(collector_id as text) from agent_stats_latest limit 1"),
  };
  return found;
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Finding {
  id: string;
  impact: string | null;
  nodes: { html: string; failureSummary?: string }[];
}

/** Serious and critical findings of axe, in a form that says where. */
export async function findings(page: Page): Promise<string[]> {
  // By the debugger's way in, which the page's policy does not stop.
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const run = (window as unknown as { axe: { run: (root: Document, options: object) => Promise<{ violations: Finding[] }> } }).axe.run;
    return (await run(document, { resultTypes: ["violations"] })).violations;
  });
  return violations
    .filter((each) => each.impact === "serious" || each.impact === "critical")
    .flatMap((each) => each.nodes.slice(0, 3).map((node) => `${each.id}: ${node.html.slice(0, 160)} ${node.failureSummary?.replace(/\s+/g, " ").slice(0, 200) ?? ""}`));
}

export const front = (): string => process.env["PGA_FRONT"] ?? "";
