import { empty, expect, full, settled, test } from "./fixture";
import { PASSWORD, SETUP_TOKEN } from "./servers";

test("an empty server is set up in the browser and says how to add a server", async ({ page, watched }) => {
  watched.expected.push(/status of (403|422)/);
  await page.goto(`${empty()}/setup`);
  await page.getByLabel("Set-up token").fill("a wrong token, and long");
  await page.getByLabel("Password, at least").fill(PASSWORD);
  await page.getByLabel("The same again").fill("another one entirely");
  await page.getByRole("button", { name: "Make the admin" }).click();
  await expect(page.getByRole("alert")).toContainText("not the same");
  await page.getByLabel("The same again").fill(PASSWORD);
  await page.getByRole("button", { name: "Make the admin" }).click();
  await expect(page.getByRole("alert")).toContainText("token is wrong");
  await page.getByLabel("Set-up token").fill(SETUP_TOKEN);
  await page.getByRole("button", { name: "Make the admin" }).click();
  await expect(page.getByRole("heading", { name: "No server reports yet" })).toBeVisible();
  await expect(page.getByText("grant pg_monitor to monitor")).toBeVisible();
});

test("a wrong password is said, the right one leads to where one wanted to go", async ({ page }) => {
  await page.goto(`${full()}/explore/pg_up?from=now-3h`);
  await page.getByLabel("User").fill("admin");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("alert")).toContainText("wrong");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { name: "pg_up" })).toBeVisible();
  expect(page.url()).toContain("/explore/pg_up?from=now-3h");
  await settled(page);
});

test("logging out ends the session in all tabs, and nothing is kept", async ({ page, context }) => {
  await page.request.post(`${full()}/api/v1/auth/login?cookie=true`, { data: { username: "admin", password: PASSWORD } });
  await page.goto(`${full()}/`);
  await settled(page);
  const other = await context.newPage();
  await other.goto(`${full()}/explore`);
  await expect(other.getByRole("heading", { name: "Explore" })).toBeVisible();
  await page.locator("summary", { hasText: "You and this browser" }).click();
  await page.getByRole("button", { name: "Log out everywhere" }).click();
  await expect(page.getByRole("button", { name: "Log in" })).toBeVisible();
  await expect(other.getByRole("button", { name: "Log in" })).toBeVisible();
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  expect(kept).not.toMatch(/select|token|admin/i);
});
