import type { ReactNode } from "react";
import { Copy } from "../../components/Copy";
import { figure, oneLine } from "../../data/format";
import { type Row, numberIn, textIn } from "../../data/rows";
import { type Node, type Tree, newestLook, treesOf } from "./tree";

/** Who holds whom up; the root first. */
export function Blocking({ rows }: { rows: Row[] }): ReactNode {
  const { trees, rings } = treesOf(newestLook(rows));
  return (
    <ul className="stack">
      {trees.map((tree) => <li key={`${textIn(tree.root.kids[0]?.row ?? undefined, "instance_id")}${tree.root.pid}`}><TreeOf tree={tree} /></li>)}
      {rings.length > 0 && (
        <li className="notice bad">
          Sessions {rings.map((row) => textIn(row, "pid")).join(", ")} wait for each other. PostgreSQL ends one of them after deadlock_timeout; the log says which.
        </li>
      )}
    </ul>
  );
}

function TreeOf({ tree }: { tree: Tree }): ReactNode {
  const { root, frees, waited } = tree;
  const isPrepared = root.pid === 0;
  return (
    <div className="tree">
      <div className="row">
        <strong>
          {isPrepared ? "A prepared transaction" : `Session ${root.pid}`} holds up {frees} {frees === 1 ? "session that waits" : "sessions that wait"} for {figure(waited, "s")} in all
        </strong>
        {!isPrepared && <Copy text={`select pg_terminate_backend(${root.pid});`} label="Copy the statement that ends it" />}
      </div>
      <div className="step root">
        <div className="row">
          <span className="badge bad">root</span>
          <span>{root.holder?.state || "state not known"}</span>
          <span className="muted">{[root.holder?.user, root.holder?.application].filter(Boolean).join(" · ")}</span>
          {root.holder?.age !== null && root.holder?.age !== undefined && <span>transaction open for {figure(root.holder.age, "s")}</span>}
        </div>
        <code>{oneLine(root.holder?.query, 300)}</code>
      </div>
      <Kids kids={root.kids} />
    </div>
  );
}

function Kids({ kids }: { kids: Node[] }): ReactNode {
  return (
    <div className="kids">
      {kids.map((kid) => (
        <div key={kid.pid}>
          <div className="step">
            <div className="row">
              <strong>{kid.pid}</strong>
              <span>waits {figure(numberIn(kid.row ?? undefined, "wait_age"), "s")}</span>
              <span className="badge">{textIn(kid.row ?? undefined, "lock_type")} {textIn(kid.row ?? undefined, "lock_mode")} {textIn(kid.row ?? undefined, "relname")}</span>
              <span className="muted">{textIn(kid.row ?? undefined, "usename")} · {textIn(kid.row ?? undefined, "application_name")}</span>
            </div>
            <code>{oneLine(kid.row?.["query"], 300)}</code>
          </div>
          {kid.kids.length > 0 && <Kids kids={kid.kids} />}
        </div>
      ))}
    </div>
  );
}
