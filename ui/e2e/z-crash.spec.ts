// What ends sessions of others: at the end.
import { expect, full, known, list, logIn, settled, sql, test } from "./fixture";
import { superuser } from "./faults";

const primary = (): string => process.env["PGA_PRIMARY"] ?? "";

async function until(what: string, patience: number, look: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + patience;
  while (!(await look())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${patience} ms`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

test("a role that may no longer look: the agent's own words, and what helps", async ({ page }) => {
  const client = await superuser(primary(), "postgres");
  try {
    await client.query("revoke pg_monitor from monitor");
    await logIn(page, full(), null);
    const { collector } = await known(page);
    const lacking = "select count(*) from agent_scrape_latest where status <> 'ok' and error ilike '%pg_monitor%'";
    await until("the agent says so", 60_000, async () => Number((await sql(page, lacking))[0]?.[0]) > 0);
    await page.goto(`${full()}/collectors/${collector}`);
    await settled(page);
    await expect(list(page, "Measurements")).toContainText("pg_monitor");
  } finally {
    await client.query("grant pg_monitor to monitor");
    await client.end();
  }
});

test("kill -9: the log says it, figures that are lower bounds say so, and the page goes on", async ({ page }) => {
  test.setTimeout(120_000);
  const client = await superuser(primary(), "postgres");
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  process.kill(rows[0]?.pid ?? 0, "SIGKILL");
  await client.end().catch(() => undefined);
  await logIn(page, full(), null);
  const { slug } = await known(page);
  await until("the log says it", 60_000, async () => Number((await sql(page, "select count(*) from pg_log where message like '%terminated by signal 9%'"))[0]?.[0]) > 0);
  await until("counters began anew", 60_000, async () => Number((await sql(page, "select count(*) from pg_stat_database_delta where delta_quality = 'lower_bound'"))[0]?.[0]) > 0);
  await page.goto(`${full()}/s/${slug}/logs?from=now-15m&q=signal`);
  await settled(page);
  await expect(list(page, "Entries")).toContainText("terminated by signal 9");
  await page.goto(`${full()}/s/${slug}/queries?from=now-15m`);
  await settled(page);
  await expect(list(page, "Statements")).toContainText("≥");
});
