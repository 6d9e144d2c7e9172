import type { ReactNode } from "react";
import { To } from "../components/To";

export function Lost(): ReactNode {
  return (
    <section className="panel">
      <h1>There is no such page</h1>
      <p><To path="/">To all servers</To></p>
    </section>
  );
}
