// A queue of sessions at a lock, three deep, on the demo's primary. The name of its application is code, if anybody takes it for that.
import pg from "pg";

export const HOSTILE_APPLICATION = "<img src=x onerror=window.ran=1>";

/** Holds the queue until told to let go. */
export async function lockQueue(monitorUrl: string): Promise<() => Promise<void>> {
  // All roles of the throw-away cluster have one password.
  const url = new URL(monitorUrl);
  url.username = "app";
  url.pathname = "/shop";
  const connect = async (name: string): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url.toString(), application_name: name });
    // It is ended from outside, or the cluster stops.
    client.on("error", () => undefined);
    await client.connect();
    return client;
  };
  const holder = await connect(HOSTILE_APPLICATION);
  await holder.query("begin");
  await holder.query("update stock set pieces = pieces where product = 1400 returning product");
  const waiting: pg.Client[] = [];
  for (const name of ["second", "third"]) {
    const client = await connect(name);
    waiting.push(client);
    client.query("update stock set pieces = pieces + 0 where product = 1400").catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return async () => {
    await holder.query("rollback");
    for (const client of [holder, ...waiting]) await client.end().catch(() => undefined);
  };
}
