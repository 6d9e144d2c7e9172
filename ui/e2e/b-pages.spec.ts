import { clusterSlug, hostSlug, expect, findings, full, logIn, settled, sql, test } from "./fixture";

const ROUTES = ["/", "/explore", "/explore/pg_stat_database", "/sql", "/settings", "/s/SLUG/overview", "/s/SLUG/queries", "/s/SLUG/queries?vs=prev&tab=changed&from=now-15m", "/s/SLUG/queries/QUERYID", "/s/SLUG/activity", "/s/SLUG/waits", "/s/SLUG/waits?by=query_id&f=datname:shop", "/s/SLUG/tables", "/s/SLUG/indexes?tab=unused", "/s/SLUG/vacuum", "/s/SLUG/replication", "/s/SLUG/logs", "/s/HOST/host", "/s/nothing.00000000/overview", "/s/SLUG/queries/no-id", "/explore/nothing"];

for (const theme of ["light", "dark"] as const) {
  for (const route of ROUTES) {
    test(`${route} in ${theme}: three calls at most, all panels with data or a reason, nothing serious for axe`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await logIn(page, full(), "/settings");
      const slug = await clusterSlug(page);
      const [row] = await sql(page, "select cast(queryid as text) from pg_stat_statements_latest where datname = 'shop' order by total_exec_time desc limit 1");
      let calls = 0;
      page.on("request", (request) => {
        if (/\/api\/v1\/(sql|measurements)/.test(request.url())) calls += 1;
      });
      await page.goto(full() + route.replace("SLUG", slug).replace("QUERYID", String(row?.[0])).replace("HOST", await hostSlug(page)));
      await settled(page);
      expect(calls).toBeLessThanOrEqual(3);
      await expect(page.locator(".state .badge.bad")).toHaveCount(0);
      expect(await findings(page)).toEqual([]);
      // 320 px wide it is still one column, with nothing cut off at the side.
      await page.setViewportSize({ width: 320, height: 800 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide).toBeLessThanOrEqual(320);
    });
  }
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
