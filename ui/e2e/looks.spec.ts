// Pictures of every page, for people to look at: LOOKS=folder npx playwright test looks
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { full, known, logIn, settled, sql, test } from "./fixture";

const folder = process.env["LOOKS"] ?? "";
const PAGES: Record<string, string> = {
  fleet: "/", queries_all: "/queries?vs=prev", activity_all: "/activity?at=AT", logs_all: "/logs", events_all: "/events", collectors: "/collectors", collector: "/collectors/COLLECTOR", access: "/admin/tokens", explore: "/explore", measurement: "/explore/pg_stat_database?by=datname",
  console: "/sql", preferences: "/settings", overview: "/s/SLUG/overview", database: "/s/SLUG/db/shop?vs=prev", queries: "/s/SLUG/queries?vs=prev", query: "/s/SLUG/queries/QUERYID", activity: "/s/SLUG/activity?at=AT", waits: "/s/SLUG/waits", tables: "/s/SLUG/tables", table: "/s/SLUG/tables/shop/RELATION",
  indexes: "/s/SLUG/indexes", vacuum: "/s/SLUG/vacuum", replication: "/s/SLUG/replication", wal: "/s/SLUG/wal", backups: "/s/SLUG/backups", logs: "/s/SLUG/logs", settings: "/s/SLUG/settings", events: "/s/SLUG/events", host: "/s/HOST/host", pooler: "/s/POOLER/pooler", nothing: "/s/SLUG/db/nothing",
};
const range = process.env["LOOKS_FROM"] ?? "now-15m";
const widths = (process.env["LOOKS_WIDTHS"] ?? "1440,1024,390").split(",").map(Number);
const only = process.env["LOOKS_ONLY"]?.split(",");

test.describe("pictures", () => {
  test.skip(folder === "", "only where LOOKS names a folder");
  test.setTimeout(900_000);
  for (const theme of ["light", "dark"] as const) {
    test(`every page in ${theme}`, async ({ page }) => {
      mkdirSync(folder, { recursive: true });
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await logIn(page, full(), null);
      const { slug, host, pooler, queryid, relation, collector } = await known(page);
      const [row] = await sql(page, "select max(time) from pg_blocking where application_name = 'third'");
      const at = encodeURIComponent(String(row?.[0]));
      for (const [name, route] of Object.entries(PAGES)) {
        if (only && !only.includes(name)) continue;
        const path = route.replace("at=AT", `at=${at}`).replace("SLUG", slug).replace("QUERYID", queryid).replace("RELATION", relation).replace("COLLECTOR", collector).replace("HOST", host).replace("POOLER", pooler);
        await page.setViewportSize({ width: widths[0] ?? 1440, height: 900 });
        await page.goto(`${full()}${path}${path.includes("?") ? "&" : "?"}from=${range}`);
        await settled(page);
        for (const width of widths) {
          await page.setViewportSize({ width, height: 900 });
          await page.waitForTimeout(250);
          await page.screenshot({ path: join(folder, `${name}-${theme}-${width}.png`), fullPage: true });
        }
      }
    });
  }
});
