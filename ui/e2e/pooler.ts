// A PgBouncer in front of the demo, with one server for each pool, and clients that wait for it.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";

export interface Pooler {
  /** Its console, as the role that watches. */
  console: string;
  stop: () => Promise<void>;
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const socket = createServer().listen(0, "127.0.0.1", () => {
      const { port } = socket.address() as AddressInfo;
      socket.close(() => resolve(port));
    });
  });

/** The account that it runs as: it refuses to be root. */
function account(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const id = (flag: string): number => Number(spawnSync("id", [flag, "postgres"]).stdout.toString().trim());
  return { uid: id("-u"), gid: id("-g") };
}

/** Null where no pgbouncer is installed. */
export async function startPooler(primary: string): Promise<Pooler | null> {
  const program = ["/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer"].find((path) => existsSync(path));
  if (!program) return null;
  const url = new URL(primary);
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "pga-pooler-"));
  const [users, config] = [join(folder, "users.txt"), join(folder, "pgbouncer.ini")];
  const password = decodeURIComponent(url.password);
  writeFileSync(users, ["app", "monitor"].map((name) => `"${name}" "${password}"\n`).join(""));
  writeFileSync(
    config,
    `[databases]\n* = host=127.0.0.1 port=${url.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = ${users}\nstats_users = monitor\npool_mode = transaction\ndefault_pool_size = 1\nquery_wait_timeout = 0\nignore_startup_parameters = extra_float_digits\n`,
  );
  const who = account();
  if (who) for (const path of [folder, users, config]) chownSync(path, who.uid, who.gid);
  const child: ChildProcess = spawn(program, ["-q", config], { stdio: ["ignore", "ignore", "inherit"], ...(who ?? {}) });
  const clients: pg.Client[] = [];
  const connect = async (name: string): Promise<pg.Client> => {
    for (let tries = 0; ; tries += 1) {
      const client = new pg.Client({ host: "127.0.0.1", port, user: "app", password, database: "shop", application_name: name });
      client.on("error", () => undefined);
      try {
        await client.connect();
        clients.push(client);
        return client;
      } catch (error) {
        if (tries >= 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  };
  const holder = await connect("keeps its server");
  await holder.query("begin");
  await holder.query("select 1");
  for (const name of ["waits first", "waits second"]) (await connect(name)).query("select 1").catch(() => undefined);
  return {
    console: `postgres://monitor:${encodeURIComponent(password)}@127.0.0.1:${port}/pgbouncer`,
    stop: async () => {
      child.kill("SIGKILL");
      await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
