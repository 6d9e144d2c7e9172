import { afterEach, expect, test, vi } from "vitest";
import { type Outcome, linesOf, runBatch } from "./batch";

const stream = (...parts: string[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });

const answer = (...parts: string[]): void => {
  vi.stubGlobal("document", { cookie: "pga_csrf=abc" });
  vi.stubGlobal("fetch", async () => new Response(stream(...parts), { status: 200 }));
};
afterEach(() => vi.unstubAllGlobals());

const query = (id: string) => ({ id, sql: "select 1", params: [] });
const line = (id: string, more: object) => `${JSON.stringify({ id, ...more })}\n`;
const rows = { columns: [{ name: "a", type: "bigint" }], rows: [[1]], truncated: false, elapsed_ms: 2, token: "t" };

async function outcomes(ids: string[], before = new Map()): Promise<Map<string, Outcome>> {
  const found = new Map<string, Outcome>();
  await runBatch(ids.map(query), before, (id, outcome) => found.set(id, outcome));
  return found;
}

test("lines are put together however the network cuts them", async () => {
  const found = [];
  for await (const each of linesOf(stream('{"a"', ':1}\n{"b":', "2}\n", "\n", '{"c"'))) found.push(each);
  expect(found).toEqual(['{"a":1}', '{"b":2}']);
});

test("each query has its own outcome", async () => {
  answer(line("x", rows), line("y", { problem: { status: 422, code: "timeout", message: "too slow" } }));
  const found = await outcomes(["x", "y"]);
  expect(found.get("x")).toEqual({ rows });
  expect(found.get("y")).toMatchObject({ error: { status: 422, code: "timeout", message: "too slow" } });
});

test("what is unchanged stays the same object", async () => {
  answer(line("x", { unchanged: true }));
  const found = await outcomes(["x"], new Map([["x", rows]]));
  expect((found.get("x") as { rows: unknown }).rows).toBe(rows);
});

test("an answer that breaks off leaves what was there and says what is missing", async () => {
  answer(line("x", rows), '{"id":"y","rows":[[1');
  const found = await outcomes(["x", "y"]);
  expect(found.get("x")).toEqual({ rows });
  expect(found.get("y")).toMatchObject({ error: { code: "broken_off" } });
});

test("a line that nobody asked for is left alone, and garbage harms no one", async () => {
  answer(line("z", rows), line("x", rows), "<html>\n");
  const found = await outcomes(["x"]);
  expect([...found.keys()]).toEqual(["x"]);
});
