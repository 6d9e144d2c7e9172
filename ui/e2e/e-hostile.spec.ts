import { empty, expect, settled, test } from "./fixture";
import { PASSWORD } from "./servers";

const HOSTILE = ['<img src=x onerror="window.ran=1">', "<script>window.ran=1</script>", '"><svg onload=window.ran=1>', "javascript:window.ran=1", "\u202eevil\u202c", "x".repeat(5000), "a\nb\tc"];

test("names and texts that would be code never run, and break nothing", async ({ page }) => {
  const login = await page.request.post(`${empty()}/api/v1/auth/login`, { data: { username: "admin", password: PASSWORD } });
  const { token } = (await login.json()) as { token: string };
  for (const [at, name] of HOSTILE.entries()) {
    const metrics = HOSTILE.map((text, n) => ({ type: "app_hostile", label: text, key: `${at}-${n}`, waiting: n }));
    const pushed = await page.request.post(`${empty()}/api/v1/metrics/push`, { headers: { Authorization: `Bearer ${token}` }, data: { collector_id: `c${at}`, hostname: name.slice(0, 200), metrics } });
    expect(pushed.status(), await pushed.text()).toBeLessThan(500);
  }
  await page.request.post(`${empty()}/api/v1/auth/login?cookie=true`, { data: { username: "admin", password: PASSWORD } });
  const routes = ["/", "/explore", "/explore/app_hostile?by=label", "/explore/%3Cimg%20src=x%20onerror=window.ran=1%3E", "/s/%3Cscript%3E.00000000/overview", "/sql?sql=%3Cimg%20src%3Dx%20onerror%3Dwindow.ran%3D1%3E", "/?from=%3Cscript%3Ewindow.ran=1%3C/script%3E"];
  for (const route of routes) {
    await page.goto(empty() + route);
    await settled(page);
    expect(await page.evaluate(() => (window as unknown as { ran?: number }).ran), route).toBeUndefined();
  }
  await page.goto(`${empty()}/explore/app_hostile`);
  await settled(page);
  // Shown as what it is.
  await expect(page.getByRole("region", { name: "Newest rows" }).last()).toContainText('<img src=x onerror="window.ran=1">');
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("listbox")).toContainText("<img src=x");
  expect(await page.evaluate(() => (window as unknown as { ran?: number }).ran)).toBeUndefined();
});
