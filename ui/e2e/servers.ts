// Real servers for the tests: one whose agent watches the demo cluster, its pooler and a report of backups, with
// faults provoked; one that nobody has set up yet; and the page alone, in front of the first.
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { provoke } from "./faults";
import { lockQueue } from "./lock";
import { type Pooler, startPooler } from "./pooler";

export const PASSWORD = "correct horse battery staple";
export const SETUP_TOKEN = "0123456789abcdef0123456789abcdef";
const REGISTRATION_SECRET = "let my agents in, please, 0123456789";

const target = process.env["CARGO_TARGET_DIR"] ?? join(import.meta.dirname, "../../target");

function binary(name: string): string {
  const path = join(target, "debug", name);
  if (!existsSync(path)) throw new Error(`${path} is not there; build it with: cargo test --workspace --no-run`);
  return path;
}

const environment = (more: Record<string, string>): Record<string, string> => ({ PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", LOG_LEVEL: "warn", ...more });

/** Waits for a line of its output. */
function line(child: ChildProcess, pattern: RegExp, patience: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`nothing like ${pattern} within ${patience} ms: ${text}`)), patience);
    child.stdout?.on("data", (piece: Buffer) => {
      text += piece.toString();
      const found = pattern.exec(text);
      if (!found) return;
      clearTimeout(timer);
      resolve([...found]);
    });
    child.once("exit", (code) => reject(new Error(`it ended with ${code}: ${text}`)));
  });
}

interface Started {
  child: ChildProcess;
  base: string;
}

async function server(folder: string, words: string[], env: Record<string, string>): Promise<Started> {
  const limits = Object.fromEntries(["LOGIN", "PAGE", "PUBLIC", "READ", "QUERY", "WRITE", "PUSH"].map((name) => [`PGANALYTICS_RATE_LIMIT_${name}`, "0"]));
  const child = spawn(binary("pganalytics-server"), words, {
    env: environment({ PGANALYTICS_DATA_DIR: folder, PORT: "0", UI_PORT: "0", ...limits, ...env }),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [, base] = await line(child, / is at (http:\S+)\//, 60_000);
  return { child, base: base ?? "" };
}

const toml = (text: string): string => JSON.stringify(text);

interface Watched {
  primary: string;
  replica: string;
  pooler: Pooler | null;
  backups: string;
}

/** An agent of its own, which looks often. */
function agent(folder: string, backend: string, { primary, replica, pooler, backups }: Watched): ChildProcess {
  mkdirSync(folder, { recursive: true });
  const often = ["pg_settings", "pg_schema", "pg_database_size", "pg_table_size", "pg_index_size", "pg_vacuum_need", "pg_database_wraparound", "pg_database", "pg_extension", "pg_sequences", "pgbackrest_info", "pgbackrest_backup", "pgbouncer_config"];
  const text = [
    `[collector]\nname = "demo agent"\ninterval = 5\npush_interval = 2\ndata_dir = ${toml(join(folder, "data"))}`,
    `[backend]\nurl = ${toml(backend)}`,
    ...[replica, primary].map((url) => `[[postgres]]\nurl = ${toml(url)}`),
    ...(pooler ? [`[[pgbouncer]]\nname = "front"\nurl = ${toml(pooler.console)}`] : []),
    `[[pgbackrest]]\nname = "backups"\ncommand = [${toml(backups)}]`,
    ...often.map((name) => `[${name}]\ninterval = 10`),
  ].join("\n\n");
  const file = join(folder, "agent.toml");
  writeFileSync(file, text, { mode: 0o600 });
  return spawn(binary("pganalytics-agent"), ["run", "--config", file], { env: environment({ REGISTRATION_SECRET }), stdio: ["ignore", "inherit", "inherit"] });
}

/** Waits until the data of a first minute are there. */
async function data(base: string, hasPooler: boolean): Promise<void> {
  const ask = async (path: string, body: object, token = ""): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${base}/api/v1/${path}`, { method: "POST", headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) }, body: JSON.stringify(body) });
    return (await answer.json()) as Record<string, unknown>;
  };
  const { token } = await ask("auth/login", { username: "admin", password: PASSWORD });
  // What has to be there, and how often.
  const wanted: [string, number][] = [
    ["select count(distinct time) from pg_wait_sampling_delta", 4],
    ["select count(*) from pg_stat_activity", 1],
    ["select count(*) from pg_stat_statements_delta where calls > 0", 1],
    ["select count(*) from pg_blocking where application_name = 'third'", 1],
    ["select count(*) from host_inventory", 1],
    ["select count(*) from pgbackrest_info", 1],
    ["select count(*) from pg_event where kind = 'setting'", 1],
    ["select count(*) from pg_log where class = 'deadlock'", 1],
    ...(hasPooler ? ([["select count(*) from pgbouncer_pools where cl_waiting > 0", 1]] satisfies [string, number][]) : []),
  ];
  const sql = `select ${wanted.map(([text]) => `(${text})`).join(", ")}`;
  let seen: unknown = null;
  for (let tries = 0; tries < 240; tries += 1) {
    const answer = (await ask("sql", { sql }, String(token))) as { rows?: number[][] };
    if (answer.rows?.[0]?.every((count, at) => count >= (wanted[at]?.[1] ?? 1))) return;
    seen = answer;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error(`the demo's data did not come within two minutes: ${JSON.stringify(seen)}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => {
    child.once("exit", resolve);
    child.kill("SIGTERM");
  });
}

/** Adds somebody, while no server runs; gives the password. */
async function addUser(folder: string, name: string, role: string): Promise<string> {
  const child = spawn(binary("pganalytics-server"), ["user", "add", name, "--role", role], { env: environment({ PGANALYTICS_DATA_DIR: folder }), stdio: ["ignore", "pipe", "inherit"] });
  const isOver = new Promise((resolve) => child.once("close", resolve));
  const [, password = ""] = await line(child, /^(\S+)\n/, 30_000);
  await isOver;
  return password;
}

/** Gives the admin the password that the tests know. */
async function changePassword(base: string, username: string, password: string): Promise<void> {
  const post = (path: string, body: object, token = ""): Promise<Response> =>
    fetch(`${base}/api/v1/${path}`, { method: "POST", headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) }, body: JSON.stringify(body) });
  const { token } = (await (await post("auth/login", { username, password })).json()) as { token: string };
  const answer = await post("auth/change-password", { current_password: password, new_password: PASSWORD }, token);
  if (!answer.ok) throw new Error(`the password of ${username} was not changed: ${await answer.text()}`);
}

/** What `pgbackrest info` says where the last good backup is three days old and one had errors. */
function backupReport(folder: string, systemId: string): string {
  const at = (days: number): number => Math.floor(Date.now() / 1000 - days * 86_400);
  const backup = (days: number, type: string, error: boolean): string =>
    JSON.stringify({ archive: { start: "000000010000000000000002", stop: "000000010000000000000003" }, backrest: { format: 5, version: "2.45" }, database: { id: 1, "repo-key": 1 }, error, info: { delta: 34_604_848, repository: { delta: 5_933_067, size: 5_933_067 }, size: 34_604_848 }, label: `${type}-${days}`, lsn: { start: "0/2000028", stop: "0/3000050" }, prior: null, reference: null, timestamp: { start: at(days), stop: at(days) + 95 }, type });
  // The id has more digits than a number of JavaScript keeps.
  const json = `[{"archive":[{"database":{"id":1,"repo-key":1},"id":"17-1","max":"00000001000000000000001E","min":"000000010000000000000001"}],"backup":[${backup(4, "full", false)},${backup(3, "incr", true)}],"cipher":"none","db":[{"id":1,"repo-key":1,"system-id":${systemId},"version":"17"}],"name":"main","repo":[{"cipher":"none","key":1,"status":{"code":0,"message":"ok"}}],"status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]`;
  const [file, command] = [join(folder, "info.json"), join(folder, "pgbackrest")];
  writeFileSync(file, json);
  writeFileSync(command, `#!/bin/sh\ncat '${file}'\n`);
  chmodSync(command, 0o755);
  return command;
}

export default async function start(): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "pga-ui-"));
  const children: ChildProcess[] = [];
  const ends: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const each of ends.reverse()) await each().catch(() => undefined);
    for (const child of children.reverse()) await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    // It ends when its standard input does, however we end.
    const cluster = spawn(binary("pganalytics-demo-cluster"), [], { stdio: ["pipe", "pipe", "inherit"] });
    children.push(cluster);
    const [, replica = "", primary = ""] = await line(cluster, /REPLICA_PG_URL=(\S+)\nPG_URL=(\S+)\n/, 120_000);
    const admin = await addUser(join(folder, "full"), "admin", "admin");
    const viewer = await addUser(join(folder, "full"), "viewer", "viewer");
    const full = await server(join(folder, "full"), ["serve"], { REGISTRATION_SECRET, PGANALYTICS_TRUSTED_PROXIES: "loopback", COLLECTION_INTERVAL: "5" });
    children.push(full.child);
    await changePassword(full.base, "admin", admin);
    const pooler = await startPooler(primary);
    if (pooler) ends.push(pooler.stop);
    const faults = await provoke(primary, replica);
    ends.push(faults.stop);
    const report = backupReport(folder, faults.systemId);
    children.push(agent(join(folder, "agent"), full.base, { primary, replica, pooler, backups: report }));
    const empty = await server(join(folder, "empty"), ["serve"], { PGANALYTICS_SETUP: "true", PGANALYTICS_SETUP_TOKEN: SETUP_TOKEN });
    children.push(empty.child);
    const front = await server(join(folder, "front"), ["ui", "--backend", full.base], {});
    children.push(front.child);
    Object.assign(process.env, { PGA_FULL: full.base, PGA_EMPTY: empty.base, PGA_FRONT: front.base, PGA_PRIMARY: primary, PGA_POOLER: pooler ? "yes" : "", PGA_VIEWER: viewer });
    const letGo = await lockQueue(primary);
    await faults.later();
    await data(full.base, pooler !== null);
    await letGo();
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}
