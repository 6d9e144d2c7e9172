import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { base } from "../data/base";
import { parseSearch, printSearch } from "../data/url";
import { Lost } from "../pages/Lost";
import { Fleet } from "../pages/fleet/Fleet";
import { Crashed } from "./Crashed";
import { Root } from "./Root";

const root = createRootRoute({ component: Root, notFoundComponent: Lost, errorComponent: ({ error }) => <Crashed error={error instanceof Error ? error : new Error(String(error))} /> });
const getParentRoute = (): typeof root => root;

const routes = [
  createRoute({ getParentRoute, path: "/", component: Fleet }),
  createRoute({ getParentRoute, path: "/setup", component: lazyRouteComponent(() => import("../pages/Setup"), "Setup") }),
  createRoute({ getParentRoute, path: "/settings", component: lazyRouteComponent(() => import("../pages/Settings"), "SettingsPage") }),
  createRoute({ getParentRoute, path: "/sql", component: lazyRouteComponent(() => import("../pages/console/Console"), "Console") }),
  createRoute({ getParentRoute, path: "/explore", component: lazyRouteComponent(() => import("../pages/explore/Catalog"), "Catalog") }),
  createRoute({ getParentRoute, path: "/explore/$measurement", component: lazyRouteComponent(() => import("../pages/explore/Measurement"), "MeasurementPage") }),
  createRoute({ getParentRoute, path: "/s/$server/overview", component: lazyRouteComponent(() => import("../pages/server/Overview"), "Overview") }),
  createRoute({ getParentRoute, path: "/s/$server/queries", component: lazyRouteComponent(() => import("../pages/queries/Queries"), "Queries") }),
  createRoute({ getParentRoute, path: "/s/$server/queries/$queryid", component: lazyRouteComponent(() => import("../pages/query/QueryPage"), "QueryPage") }),
  createRoute({ getParentRoute, path: "/s/$server/activity", component: lazyRouteComponent(() => import("../pages/activity/Activity"), "Activity") }),
  createRoute({ getParentRoute, path: "/s/$server/waits", component: lazyRouteComponent(() => import("../pages/waits/Waits"), "Waits") }),
  createRoute({ getParentRoute, path: "/s/$server/tables", component: lazyRouteComponent(() => import("../pages/tables/Tables"), "Tables") }),
  createRoute({ getParentRoute, path: "/s/$server/indexes", component: lazyRouteComponent(() => import("../pages/tables/Indexes"), "Indexes") }),
  createRoute({ getParentRoute, path: "/s/$server/vacuum", component: lazyRouteComponent(() => import("../pages/vacuum/Vacuum"), "Vacuum") }),
  createRoute({ getParentRoute, path: "/s/$server/replication", component: lazyRouteComponent(() => import("../pages/replication/Replication"), "Replication") }),
  createRoute({ getParentRoute, path: "/s/$server/logs", component: lazyRouteComponent(() => import("../pages/logs/Logs"), "Logs") }),
  createRoute({ getParentRoute, path: "/s/$server/host", component: lazyRouteComponent(() => import("../pages/host/Host"), "Host") }),
];

export const router = createRouter({
  routeTree: root.addChildren(routes),
  basepath: base,
  // Plain words: an address that people can read and write.
  parseSearch,
  stringifySearch: printSearch,
  defaultPreload: "intent",
  scrollRestoration: true,
});
