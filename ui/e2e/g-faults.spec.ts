// Faults that were provoked on real clusters, and what the pages say of them.
import { expect, full, known, list, logIn, settled, test } from "./fixture";

test("a replica that is paused, a slot that nobody reads, and the statement that ends it", async ({ page }) => {
  await logIn(page, full(), null);
  const { slug } = await known(page);
  await page.goto(`${full()}/s/${slug}/replication?from=now-15m`);
  await settled(page);
  await expect(list(page, "Members")).toContainText("! paused");
  await page.goto(`${full()}/s/${slug}/wal?from=now-15m`);
  await settled(page);
  const row = list(page, "Slots").locator("tr", { hasText: "forgotten" });
  await expect(row).toContainText("! none");
  await expect(row.getByRole("button", { name: "Copy" })).toBeVisible();
});

test("a deadlock, in the log and counted; a changed setting; a dropped index", async ({ page }) => {
  await logIn(page, full(), null);
  const { slug } = await known(page);
  await page.goto(`${full()}/s/${slug}/logs?from=now-1h&q=deadlock`);
  await settled(page);
  await list(page, "Entries").locator("tbody tr", { hasText: "deadlock" }).first().click();
  await expect(page.getByRole("dialog")).toContainText("40P01");
  await expect(page.getByRole("dialog").getByRole("link", { name: "Who ran then" })).toBeVisible();
  await page.keyboard.press("Escape");
  await page.goto(`${full()}/s/${slug}/settings?from=now-1h`);
  await settled(page);
  await expect(list(page, "Changes")).toContainText("work_mem");
  await page.goto(`${full()}/s/${slug}/events?from=now-1h&kind=schema`);
  await settled(page);
  await expect(list(page, "Seen")).toContainText("two_rows_n");
});

test("a pool that is exhausted: who waits, for what", async ({ page }) => {
  await logIn(page, full(), null);
  const { pooler } = await known(page);
  test.skip(!process.env["PGA_POOLER"], "no pgbouncer is installed");
  await page.goto(`${full()}/s/${pooler}/pooler?from=now-15m`);
  await settled(page);
  const row = list(page, "Pools").locator("tbody tr").first();
  await expect(row).toContainText("shop");
  await expect(row).toContainText("! 2");
  await expect(row).toContainText("! 1 of 1");
  await expect(list(page, "Clients")).toContainText("waits first");
});

test("a backup with errors, and that the last good one is old", async ({ page }) => {
  await logIn(page, full(), null);
  const { slug, backups } = await known(page);
  for (const each of [slug, backups]) {
    await page.goto(`${full()}/s/${each}/backups`);
    await settled(page);
    await expect(list(page, "Stanzas")).toContainText(/! \d d/);
    await expect(list(page, "Backups")).toContainText("✕ with errors");
  }
});

test("a table whose name is code is a table with an odd name", async ({ page }) => {
  await logIn(page, full(), null);
  const { slug } = await known(page);
  await page.goto(`${full()}/s/${slug}/tables?q=onerror`);
  await settled(page);
  await page.getByRole("link", { name: "<img src=x onerror=window.ran=1>" }).click();
  await expect(page.getByRole("heading", { name: "Table", level: 1 })).toBeVisible();
  await settled(page);
  await expect(page.locator("strong.mono").first()).toHaveText("public.<img src=x onerror=window.ran=1>");
  expect(await page.evaluate(() => (window as unknown as { ran?: number }).ran)).toBeUndefined();
});
