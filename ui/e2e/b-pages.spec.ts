import { clusterSlug, expect, findings, full, known, logIn, settled, test } from "./fixture";

const ROUTES = [
  "/", "/queries?vs=prev", "/activity", "/logs", "/events", "/collectors", "/collectors/COLLECTOR", "/collectors/nobody", "/admin/tokens", "/explore", "/explore/pg_stat_database", "/explore/nothing", "/sql", "/settings",
  "/s/SLUG/overview", "/s/SLUG/db/shop?vs=prev", "/s/SLUG/db/nothing", "/s/SLUG/queries", "/s/SLUG/queries?vs=prev&tab=changed&from=now-15m", "/s/SLUG/queries/QUERYID", "/s/SLUG/queries/no-id", "/s/SLUG/activity",
  "/s/SLUG/waits", "/s/SLUG/waits?by=query_id&f=datname:shop", "/s/SLUG/tables", "/s/SLUG/tables/shop/RELATION", "/s/SLUG/tables/shop/nothing", "/s/SLUG/indexes?tab=unused", "/s/SLUG/vacuum", "/s/SLUG/replication", "/s/SLUG/wal",
  "/s/SLUG/backups", "/s/SLUG/logs", "/s/SLUG/settings?tab=all", "/s/SLUG/events", "/s/HOST/host", "/s/HOST/pooler", "/s/POOLER/pooler", "/s/BACKUPS/backups", "/s/nothing.00000000/overview",
];

for (const route of ROUTES) {
  test(`${route}: three calls at most, all panels with data or a reason, nothing serious for axe in either theme, nothing cut off`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
    await logIn(page, full(), null);
    const { slug, host, pooler, backups, queryid, relation, collector } = await known(page);
    let calls = 0;
    page.on("request", (request) => {
      // Once a load: who looks, and what the servers are.
      const isOnce = /\/api\/v1\/ui\/bootstrap/.test(request.url()) || (request.postData() ?? "").startsWith('{"queries":[{"id":"kinds"');
      if (request.url().includes("/api/v1/") && !isOnce) calls += 1;
    });
    const path = route.replace("SLUG", slug).replace("QUERYID", queryid).replace("RELATION", relation).replace("COLLECTOR", collector).replace("HOST", host).replace("POOLER", pooler).replace("BACKUPS", backups);
    await page.goto(full() + path);
    await settled(page);
    expect(calls).toBeLessThanOrEqual(3);
    await expect(page.locator(".state .badge.bad")).toHaveCount(0);
    expect(await findings(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
    await expect(page.locator("html[data-theme='dark']")).toBeAttached();
    expect(await findings(page)).toEqual([]);
    // 320 px wide it is still one column, with nothing cut off at the side.
    await page.setViewportSize({ width: 320, height: 800 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide).toBeLessThanOrEqual(320);
  });
}

test("dialogs and menus have nothing serious for axe either", async ({ page }) => {
  await logIn(page, full());
  await settled(page);
  await page.locator("summary", { hasText: "Choose the time" }).click();
  expect(await findings(page)).toEqual([]);
  await page.keyboard.press("Escape");
  for (const key of ["?", "Control+k"]) {
    await page.keyboard.press(key);
    await expect(page.getByRole("dialog")).toBeVisible();
    expect(await findings(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
  }
});

test("charts say in words what they show, and are tables too", async ({ page }) => {
  await logIn(page, full());
  await page.goto(`${full()}/s/${await clusterSlug(page)}/overview?from=now-15m`);
  await settled(page);
  const chart = page.getByRole("img", { name: /^Transactions: shop .* peak at/ });
  await expect(chart).toBeVisible();
  await chart.focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/from=20\d\d-.*to=20\d\d-/);
  await page.goBack();
  await expect(page).toHaveURL(/from=now-15m$/);
  await page.getByRole("button", { name: "Transactions as a table" }).click();
  await expect(page.getByRole("region", { name: "Transactions" }).getByRole("columnheader", { name: "shop" })).toBeVisible();
});
