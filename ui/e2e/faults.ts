// Faults that are provoked on the demo's real clusters, for the pages to show.
import pg from "pg";

export interface Faults {
  systemId: string;
  /** What needs an agent that has looked once. */
  later: () => Promise<void>;
  stop: () => Promise<void>;
}

/** All roles of the throw-away clusters have one password. */
export async function superuser(monitorUrl: string, database: string): Promise<pg.Client> {
  const url = new URL(monitorUrl);
  url.username = "postgres";
  url.pathname = `/${database}`;
  const client = new pg.Client({ connectionString: url.toString(), application_name: "faults" });
  // It is ended from outside, or the cluster stops.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

/** Two sessions that wait for each other; PostgreSQL ends one. */
async function deadlock(primary: string): Promise<void> {
  const [one, two] = [await superuser(primary, "shop"), await superuser(primary, "shop")];
  for (const client of [one, two]) await client.query("begin");
  await one.query("update two_rows set n = n + 1 where id = 1");
  await two.query("update two_rows set n = n + 1 where id = 2");
  const ends = [one.query("update two_rows set n = n + 1 where id = 2"), two.query("update two_rows set n = n + 1 where id = 1")];
  await Promise.allSettled(ends);
  for (const client of [one, two]) await client.end().catch(() => undefined);
}

export async function provoke(primary: string, replica: string): Promise<Faults> {
  const client = await superuser(primary, "shop");
  const standby = await superuser(replica, "postgres");
  const { rows } = await client.query<{ id: string }>("select system_identifier::text as id from pg_control_system()");
  await client.query("select pg_create_physical_replication_slot('forgotten', true)");
  await client.query("create table two_rows (id int primary key, n int); insert into two_rows values (1, 0), (2, 0); create index two_rows_n on two_rows (n)");
  // A name that is code, if anybody takes it for that.
  await client.query(`create table if not exists "<img src=x onerror=window.ran=1>" (id int)`);
  return {
    systemId: rows[0]?.id ?? "",
    later: async () => {
      await new Promise((resolve) => setTimeout(resolve, 12_000));
      await client.query("alter system set work_mem = '2MB'");
      await client.query("select pg_reload_conf()");
      await client.query("drop index two_rows_n");
      await standby.query("select pg_wal_replay_pause()");
      await deadlock(primary);
    },
    stop: async () => {
      for (const each of [client, standby]) await each.end().catch(() => undefined);
    },
  };
}
