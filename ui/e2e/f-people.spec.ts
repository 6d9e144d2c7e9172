// The three people of the design, each by keyboard alone, in under a minute, with nothing in the console.
import type { Page } from "@playwright/test";
import { HOSTILE_APPLICATION } from "./lock";
import { clusterSlug, expect, full, known, list, logIn, settled, sql, test } from "./fixture";

const MINUTE = 60_000;

/** Presses Tab until what has the focus says this. */
async function tabTo(page: Page, words: RegExp, most = 120): Promise<void> {
  for (let presses = 0; presses < most; presses += 1) {
    await page.keyboard.press("Tab");
    const said = await page.evaluate(() => {
      const here = document.activeElement;
      // A list has the words of all its rows.
      return here?.matches("a, button, summary, tr") ? `${here.getAttribute("aria-label") ?? ""} ${(here as HTMLElement).innerText ?? ""}`.trim() : "";
    });
    if (words.test(said)) return;
  }
  throw new Error(`nothing that says ${words} within ${most} presses of Tab`);
}

for (const width of [1440, 390]) {
  test(`on call, ${width} px: from the alert's link to who holds whom up, and the statement that ends it`, async ({ page, context }) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.setViewportSize({ width, height: 844 });
    await logIn(page, full(), null);
    const slug = await clusterSlug(page);
    const [row] = await sql(page, "select max(time) from pg_blocking where application_name = 'third'");
    const began = Date.now();
    await page.goto(`${full()}/s/${slug}/activity?at=${encodeURIComponent(String(row?.[0]))}`);
    await settled(page);
    const tree = page.locator("[data-panel='blocking']");
    await expect(tree).toContainText("holds up 2 sessions");
    await expect(tree).toContainText("idle in transaction");
    await expect(tree).toContainText(HOSTILE_APPLICATION);
    await tabTo(page, /Copy the statement that ends it/);
    await page.keyboard.press("Enter");
    await expect(tree.getByText("Copied")).toBeVisible();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^select pg_terminate_backend\(\d+\)/i);
    expect(await page.evaluate(() => (window as unknown as { ran?: number }).ran)).toBeUndefined();
    expect(Date.now() - began).toBeLessThan(MINUTE);
  });
}

test("with many servers: which first, what changed, who does not report", async ({ page }) => {
  test.setTimeout(150_000);
  await logIn(page, full());
  const first = page.locator(".problems li").first();
  // The replica that is paused is a problem once it is a minute behind.
  await expect(first.locator(".badge")).toBeVisible({ timeout: 80_000 });
  const began = Date.now();
  await page.goto(full());
  await settled(page);
  const name = (await first.getByRole("link").innerText()).trim();
  await tabTo(page, new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`));
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/s\/[^/]+\//);
  await settled(page);
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await expect(page.getByRole("heading", { name: "Events", level: 1 })).toBeVisible();
  await expect(list(page, "Seen")).toContainText("work_mem");
  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await expect(page.getByRole("heading", { name: "Collectors", level: 1 })).toBeVisible();
  await expect(list(page, "Collectors")).toContainText("reporting");
  expect(Date.now() - began).toBeLessThan(MINUTE);
});

test("a developer: why did my query get slow, what changed around it", async ({ page }) => {
  await logIn(page, full(), null);
  await known(page);
  const began = Date.now();
  await page.goto(`${full()}/?from=now-15m`);
  await settled(page);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("queries");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Queries", level: 1 })).toBeVisible();
  await settled(page);
  await page.keyboard.press("c");
  await expect(page).toHaveURL(/vs=prev/);
  await page.keyboard.press("/");
  await page.keyboard.type("update stock");
  const rows = list(page, "Statements").locator("tbody tr");
  await expect(rows.first()).toContainText(/update stock/i);
  await expect(rows.first()).toContainText("new");
  await tabTo(page, /update stock/i);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Query", level: 1 })).toBeVisible();
  await settled(page);
  await expect(page.locator("pre").first()).toContainText(/update stock/i);
  // What happened around it.
  await page.keyboard.press("e");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog", { name: "What happened" })).toContainText(/setting|schema/);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  expect(Date.now() - began).toBeLessThan(MINUTE);
});
