import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { base } from "../data/base";
import { parseSearch, printSearch } from "../data/url";
import { Lost } from "../pages/Lost";
import { Home } from "../pages/Home";
import { Crashed } from "./Crashed";
import { Root } from "./Root";

const root = createRootRoute({ component: Root, notFoundComponent: Lost, errorComponent: ({ error }) => <Crashed error={error instanceof Error ? error : new Error(String(error))} /> });
const getParentRoute = (): typeof root => root;

/** Below `/s/<server>/`. */
const OF_SERVER = {
  overview: lazyRouteComponent(() => import("../pages/server/Overview"), "Overview"),
  "db/$db": lazyRouteComponent(() => import("../pages/database/Database"), "Database"),
  queries: lazyRouteComponent(() => import("../pages/queries/Queries"), "Queries"),
  "queries/$queryid": lazyRouteComponent(() => import("../pages/query/QueryPage"), "QueryPage"),
  activity: lazyRouteComponent(() => import("../pages/activity/Activity"), "Activity"),
  waits: lazyRouteComponent(() => import("../pages/waits/Waits"), "Waits"),
  tables: lazyRouteComponent(() => import("../pages/tables/Tables"), "Tables"),
  "tables/$db/$relation": lazyRouteComponent(() => import("../pages/table/Table"), "TablePage"),
  indexes: lazyRouteComponent(() => import("../pages/tables/Indexes"), "Indexes"),
  vacuum: lazyRouteComponent(() => import("../pages/vacuum/Vacuum"), "Vacuum"),
  replication: lazyRouteComponent(() => import("../pages/replication/Replication"), "Replication"),
  wal: lazyRouteComponent(() => import("../pages/replication/Wal"), "Wal"),
  logs: lazyRouteComponent(() => import("../pages/logs/Logs"), "Logs"),
  host: lazyRouteComponent(() => import("../pages/host/Host"), "Host"),
  pooler: lazyRouteComponent(() => import("../pages/pooler/Pooler"), "Pooler"),
  backups: lazyRouteComponent(() => import("../pages/backups/Backups"), "Backups"),
  settings: lazyRouteComponent(() => import("../pages/config/Config"), "Config"),
  events: lazyRouteComponent(() => import("../pages/events/Events"), "ServerEvents"),
};

const EVERYWHERE = {
  "/setup": lazyRouteComponent(() => import("../pages/Setup"), "Setup"),
  "/settings": lazyRouteComponent(() => import("../pages/Settings"), "SettingsPage"),
  "/queries": lazyRouteComponent(() => import("../pages/queries/Queries"), "FleetQueries"),
  "/activity": lazyRouteComponent(() => import("../pages/activity/FleetActivity"), "FleetActivity"),
  "/logs": lazyRouteComponent(() => import("../pages/logs/Logs"), "FleetLogs"),
  "/events": lazyRouteComponent(() => import("../pages/events/Events"), "FleetEvents"),
  "/collectors": lazyRouteComponent(() => import("../pages/collectors/Collectors"), "Collectors"),
  "/collectors/$id": lazyRouteComponent(() => import("../pages/collectors/Collector"), "CollectorPage"),
  "/admin/tokens": lazyRouteComponent(() => import("../pages/people/Access"), "Access"),
  "/sql": lazyRouteComponent(() => import("../pages/console/Console"), "Console"),
  "/explore": lazyRouteComponent(() => import("../pages/explore/Catalog"), "Catalog"),
  "/explore/$measurement": lazyRouteComponent(() => import("../pages/explore/Measurement"), "MeasurementPage"),
};

const routes = [
  createRoute({ getParentRoute, path: "/", component: Home }),
  ...Object.entries(EVERYWHERE).map(([path, component]) => createRoute({ getParentRoute, path, component })),
  ...Object.entries(OF_SERVER).map(([path, component]) => createRoute({ getParentRoute, path: `/s/$server/${path}`, component })),
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
