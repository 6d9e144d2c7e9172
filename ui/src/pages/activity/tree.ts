// Who waits for whom, as a tree of sessions.
import { type Row, numberIn, textIn } from "../../data/rows";

export interface Node {
  pid: number;
  /** The row of a session that waits; null: it only holds. */
  row: Row | null;
  /** What is known of who only holds. */
  holder: { state: string; query: string; user: string; application: string; age: number | null } | null;
  kids: Node[];
}

export interface Tree {
  root: Node;
  /** Sessions that would go on. */
  frees: number;
  /** Seconds that they have waited, together. */
  waited: number;
}

/** Rows of the newest look at each instance. */
export function newestLook(rows: Row[]): Row[] {
  const newest = new Map<string, string>();
  for (const row of rows) {
    const [instance, time] = [textIn(row, "instance_id"), textIn(row, "time")];
    if (time > (newest.get(instance) ?? "")) newest.set(instance, time);
  }
  return rows.filter((row) => textIn(row, "time") === newest.get(textIn(row, "instance_id")));
}

/** Trees of one look, those that free most first. A ring has no root and comes out as what it is: nobody can go on. */
export function treesOf(rows: Row[]): { trees: Tree[]; rings: Row[] } {
  const nodes = new Map<string, Node>();
  const waits = new Map<string, Row>();
  for (const row of rows) waits.set(keyOf(row, "pid"), row);
  const roots = new Map<string, Node>();
  const rings: Row[] = [];
  const nodeOf = (key: string, row: Row | null, pid: number): Node => {
    let node = nodes.get(key);
    if (!node) nodes.set(key, (node = { pid, row, holder: null, kids: [] }));
    return node;
  };
  for (const row of rows) {
    const pid = numberIn(row, "pid") ?? 0;
    const above = numberIn(row, "blocker_pid") ?? 0;
    const node = nodeOf(keyOf(row, "pid"), row, pid);
    if (isInRing(row, waits)) {
      rings.push(row);
      continue;
    }
    const blockerKey = keyOf(row, "blocker_pid");
    const blocker = nodeOf(blockerKey, waits.get(blockerKey) ?? null, above);
    blocker.kids.push(node);
    if (!blocker.row) {
      blocker.holder = {
        state: textIn(row, "blocker_state"),
        query: textIn(row, "blocker_query"),
        user: textIn(row, "root_usename"),
        application: textIn(row, "root_application_name"),
        age: numberIn(row, "root_xact_age"),
      };
      roots.set(blockerKey, blocker);
    }
  }
  const trees = [...roots.values()].map((root) => ({ root, ...totalsOf(root) }));
  trees.sort((a, b) => b.frees - a.frees || b.waited - a.waited);
  return { trees, rings };
}

const keyOf = (row: Row, name: string): string => `${textIn(row, "instance_id")}|${numberIn(row, name) ?? 0}`;

/** Whether following who blocks leads back to itself. */
function isInRing(row: Row, waits: Map<string, Row>): boolean {
  const seen = new Set<string>();
  let [here, key]: [Row | undefined, string] = [row, keyOf(row, "pid")];
  while (here) {
    if (seen.has(key)) return true;
    seen.add(key);
    key = keyOf(here, "blocker_pid");
    here = waits.get(key);
  }
  return false;
}

function totalsOf(node: Node): { frees: number; waited: number } {
  let [frees, waited] = [0, 0];
  for (const kid of node.kids) {
    const below = totalsOf(kid);
    frees += 1 + below.frees;
    waited += (numberIn(kid.row ?? undefined, "wait_age") ?? 0) + below.waited;
  }
  return { frees, waited };
}
