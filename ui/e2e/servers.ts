// Real servers for the tests: one that watches the demo cluster, one that nobody has set up yet.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockQueue } from "./lock";

export const PASSWORD = "correct horse battery staple";
export const SETUP_TOKEN = "0123456789abcdef0123456789abcdef";

const target = process.env["CARGO_TARGET_DIR"] ?? join(import.meta.dirname, "../../target");

function binary(name: string): string {
  const path = join(target, "debug", name);
  if (!existsSync(path)) throw new Error(`${path} is not there; build it with: cargo test --workspace --no-run`);
  return path;
}

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

async function server(folder: string, env: Record<string, string>): Promise<{ child: ChildProcess; base: string }> {
  const limits = Object.fromEntries(["LOGIN", "PAGE", "PUBLIC", "READ", "QUERY"].map((name) => [`PGANALYTICS_RATE_LIMIT_${name}`, "0"]));
  const child = spawn(binary("pganalytics-server"), ["serve"], {
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", PGANALYTICS_DATA_DIR: folder, PORT: "0", UI_PORT: "0", LOG_LEVEL: "warn", ...limits, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [, base] = await line(child, / is at (http:\S+)\//, 60_000);
  return { child, base: base ?? "" };
}

/** Waits until the data of a first minute are there. */
async function data(base: string): Promise<void> {
  const ask = async (path: string, body: object, token = ""): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${base}/api/v1/${path}`, { method: "POST", headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) }, body: JSON.stringify(body) });
    return (await answer.json()) as Record<string, unknown>;
  };
  const { token } = await ask("auth/login", { username: "admin", password: PASSWORD });
  const sql =
    "select (select count(distinct time) from pg_wait_sampling_delta), (select count(*) from pg_stat_activity), (select count(*) from pg_stat_statements_delta where calls > 0), (select count(*) from pg_blocking where application_name = 'third'), (select count(*) from host_inventory)";
  for (let tries = 0; tries < 240; tries += 1) {
    const { rows } = (await ask("sql", { sql }, String(token))) as { rows?: number[][] };
    if (rows?.[0]?.every((count, at) => count >= (at === 0 ? 4 : 1))) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error("the demo's data did not come within two minutes");
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  await new Promise((resolve) => {
    child.once("exit", resolve);
    child.kill("SIGTERM");
  });
}

export default async function start(): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "pga-ui-"));
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.reverse()) await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    // It ends when its standard input does, however we end.
    const cluster = spawn(binary("pganalytics-demo-cluster"), [], { stdio: ["pipe", "pipe", "inherit"] });
    children.push(cluster);
    const [, replica, primary] = await line(cluster, /REPLICA_PG_URL=(\S+)\nPG_URL=(\S+)\n/, 120_000);
    const full = await server(join(folder, "full"), {
      PGANALYTICS_MONITOR: `${replica} ${primary}`,
      PGANALYTICS_ADMIN_PASSWORD: PASSWORD,
      COLLECTION_INTERVAL: "5",
    });
    children.push(full.child);
    const empty = await server(join(folder, "empty"), { PGANALYTICS_SETUP: "true", PGANALYTICS_SETUP_TOKEN: SETUP_TOKEN });
    children.push(empty.child);
    process.env["PGA_FULL"] = full.base;
    process.env["PGA_EMPTY"] = empty.base;
    const letGo = await lockQueue(primary ?? "");
    await data(full.base);
    await letGo();
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}
