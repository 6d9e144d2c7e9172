import { clusterSlug, expect, full, logIn, settled, test } from "./fixture";
import { PASSWORD } from "./servers";

test("a session that ends while somebody types: nothing typed is lost, and it goes on", async ({ page, context }) => {
  await logIn(page, full(), "/sql");
  await expect(page.locator(".editor .cm-content")).toBeVisible();
  await page.locator(".editor .cm-content").click();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("select 41 + 1 as answer");
  await context.clearCookies({ name: /pga_(access|refresh|csrf)/ });
  await page.keyboard.press("Control+Enter");
  const dialog = page.getByRole("dialog", { name: "Your log-in has ended" });
  await expect(dialog).toBeVisible();
  await dialog.getByLabel("User").fill("admin");
  await dialog.getByLabel("Password").fill(PASSWORD);
  await dialog.getByRole("button", { name: "Log in" }).click();
  await expect(dialog).toHaveCount(0);
  await expect(page.locator(".editor .cm-content")).toContainText("select 41 + 1 as answer");
  await page.locator(".editor .cm-content").click();
  await page.keyboard.press("Control+Enter");
  await expect(page.getByRole("region", { name: "Rows of the answer" })).toContainText("42");
});

test("an access token that has ended is renewed without a word", async ({ page, context }) => {
  await logIn(page, full());
  await settled(page);
  await context.clearCookies({ name: "pga_access" });
  await page.getByRole("link", { name: "Explore" }).click();
  await page.getByLabel("Filter measurements").fill("pg_up");
  await page.getByRole("link", { name: "pg_up", exact: true }).click();
  await expect(page.getByRole("heading", { name: "pg_up" })).toBeVisible();
  await settled(page);
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("a server that goes away leaves what was there, with its age, and comes back by itself", async ({ page, watched }) => {
  watched.expected.push(/net::ERR_/);
  await logIn(page, full());
  await settled(page);
  await page.route("**/api/v1/sql/batch", (route) => route.abort("connectionrefused"));
  await expect(page.getByText("The server does not answer; it is asked again by itself.")).toBeVisible({ timeout: 25_000 });
  await expect(page.getByRole("region", { name: "Instances" }).locator("tbody tr")).not.toHaveCount(0);
  await page.unroute("**/api/v1/sql/batch");
  await expect(page.getByText("The server does not answer")).toHaveCount(0, { timeout: 30_000 });
});

test("one query that fails, and an answer that breaks off, leave the other panels", async ({ page }) => {
  await logIn(page, full());
  const slug = await clusterSlug(page);
  await page.route("**/api/v1/sql/batch", async (route) => {
    const answer = await route.fetch();
    const lines = (await answer.text()).trim().split("\n").filter((each) => !each.startsWith('{"id":"io"'));
    const failed = JSON.stringify({ id: "io", problem: { status: 422, code: "query_timeout", message: "it took longer than 30 s" } });
    const kept = lines.filter((each) => !each.startsWith('{"id":"sessions"'));
    await route.fulfill({ status: 200, contentType: "application/x-ndjson", body: [failed, ...kept].join("\n") + '\n{"id":"sessions","columns":[' });
  });
  await page.goto(`${full()}/s/${slug}/overview`);
  await settled(page);
  const panel = (name: string) => page.locator("section.panel").filter({ has: page.getByRole("heading", { name, exact: true }) });
  await expect(panel("Reads and writes").getByRole("alert")).toContainText("longer than 30 s");
  await expect(panel("Sessions").getByRole("alert")).toContainText("broke off");
  await expect(panel("Transactions").getByRole("img")).toBeVisible();
});

test("too many requests: it says so and waits as long as it was told", async ({ page, watched }) => {
  watched.expected.push(/status of 429/);
  await logIn(page, full());
  await settled(page);
  let refused = 0;
  await page.route("**/api/v1/sql/batch", async (route) => {
    refused += 1;
    await route.fulfill({ status: 429, headers: { "Retry-After": "120" }, contentType: "application/problem+json", body: JSON.stringify({ code: "too_many_requests", message: "too many queries; try again in 120 s" }) });
  });
  await expect(page.getByText("too many queries; try again in 120 s")).toBeVisible({ timeout: 25_000 });
  await page.waitForTimeout(4_000);
  expect(refused).toBe(1);
});
