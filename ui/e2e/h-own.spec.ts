// What people leave behind: notes, preferences, saved queries, tokens; and who may not.
import { expect, front, full, known, list, logIn, settled, test } from "./fixture";
import { PASSWORD } from "./servers";

test("a note is written, stands in the lane, and is taken back", async ({ page }) => {
  await logIn(page, full(), null);
  const { slug } = await known(page);
  await page.goto(`${full()}/s/${slug}/overview?from=now-15m`);
  await settled(page);
  await page.getByRole("button", { name: "Note …" }).click();
  const dialog = page.getByRole("dialog", { name: "What happened?" });
  await dialog.getByLabel("In a line").fill("shop 1.4 <b>deployed</b>");
  await dialog.getByLabel("Tags").fill("deploy shop");
  await dialog.getByLabel("More about it").fill("https://ci.example/7");
  await dialog.getByRole("button", { name: "Keep it" }).click();
  await expect(dialog).toHaveCount(0);
  await page.locator(".lane .event[aria-label*='shop 1.4']").click();
  const what = page.getByRole("dialog", { name: "What happened" });
  await expect(what).toContainText("shop 1.4 <b>deployed</b> (deploy, shop)");
  await expect(what.getByRole("link", { name: /more about it/ })).toHaveAttribute("rel", "noreferrer noopener");
  await what.getByRole("button", { name: "Remove" }).click();
  await expect(page.locator(".lane .event[aria-label*='shop 1.4']")).toHaveCount(0);
});

test("preferences hold in another browser too", async ({ page, browser }) => {
  await logIn(page, full(), "/settings");
  const kept = page.waitForResponse((answer) => answer.url().endsWith("/preferences") && answer.request().method() === "PUT");
  await page.getByRole("radio", { name: "Dark" }).check();
  expect((await kept).status()).toBe(200);
  const other = await browser.newContext({ colorScheme: "light" });
  const elsewhere = await other.newPage();
  await logIn(elsewhere, full(), "/settings");
  await expect(elsewhere.locator("html[data-theme='dark']")).toBeAttached();
  const back = elsewhere.waitForResponse((answer) => answer.url().endsWith("/preferences") && answer.request().method() === "PUT");
  await elsewhere.getByRole("group", { name: "Looks" }).getByRole("radio", { name: "As the system" }).check();
  expect((await back).status()).toBe(200);
  await other.close();
});

test("a query is saved, opened, and removed", async ({ page }) => {
  await logIn(page, full(), `/sql?sql=${encodeURIComponent("select 6 * $1 as answer")}&params=${encodeURIComponent("[7]")}`);
  await expect(page.locator(".editor .cm-content")).toBeVisible();
  await page.getByRole("button", { name: "Save …" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("the answer");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.goto(`${full()}/sql`);
  await expect(page.locator(".editor .cm-content")).toBeVisible();
  await page.getByRole("button", { name: "the answer", exact: true }).click();
  await expect(page.getByRole("region", { name: "Rows of the answer" })).toContainText("42");
  await page.getByRole("button", { name: "Remove the answer" }).click();
  await expect(page.getByText("Nothing is saved yet.")).toBeVisible();
});

test("a token is shown once, and works for what it is for", async ({ page, watched }) => {
  await logIn(page, full(), "/admin/tokens");
  await settled(page);
  await page.getByRole("button", { name: "New token …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("What it is for").fill("pipeline 7");
  await dialog.getByRole("checkbox", { name: /^read/ }).uncheck();
  await dialog.getByRole("checkbox", { name: /^annotate/ }).check();
  await dialog.getByRole("button", { name: "Make it" }).click();
  const token = (await page.locator("[data-secret]").innerText()).trim();
  const headers = { Authorization: `Bearer ${token}` };
  const request = (await page.context().browser()?.newContext())?.request;
  expect((await request?.post(`${full()}/api/v1/annotations`, { headers, data: { title: "by a pipeline" } }))?.status()).toBe(201);
  expect((await request?.get(`${full()}/api/v1/servers`, { headers }))?.status()).toBe(403);
  await dialog.getByRole("button", { name: "I have it" }).click();
  await expect(page.locator("body")).not.toContainText(token);
  await list(page, "API tokens").locator("tr", { hasText: "pipeline 7" }).getByRole("button", { name: "Remove …" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await expect(list(page, "API tokens").locator("tr", { hasText: "pipeline 7" })).toHaveCount(0);
  // A wrong password is no session that has ended.
  watched.expected.push(/status of 401/);
  await page.getByLabel("The present one").fill("wrong password, and long");
  await page.getByLabel("A new one").fill("another good password 7");
  await page.getByLabel("The same again").fill("another good password 7");
  await page.getByRole("button", { name: "Change it" }).click();
  await expect(page.getByRole("alert")).toContainText("wrong");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("who only looks is offered nothing else", async ({ page }) => {
  const login = await page.request.post(`${full()}/api/v1/auth/login?cookie=true`, { data: { username: "viewer", password: process.env["PGA_VIEWER"] } });
  expect(login.status()).toBe(200);
  await page.goto(full());
  await settled(page);
  await expect(page.getByRole("region", { name: "Events" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Note …" })).toHaveCount(0);
  await page.goto(`${full()}/collectors`);
  await settled(page);
  await list(page, "Collectors").getByRole("link").first().click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("Collector");
  await expect(page.getByRole("button", { name: "Revoke …" })).toHaveCount(0);
});

test("the page alone, in front of the server: a log-in, a deep link, a log-out", async ({ page }) => {
  await page.goto(`${front()}/events?from=now-1h`);
  await page.getByLabel("User").fill("admin");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { name: "Events", level: 1 })).toBeVisible();
  await settled(page);
  await expect(list(page, "Seen")).toContainText("work_mem");
});
