import type { ReactNode } from "react";

export interface Fact {
  title: string;
  value: ReactNode;
  /** Whether it needs a look, or somebody to act. */
  level?: "warn" | "bad" | "" | undefined;
  about?: string;
}

/** Single figures with their names. A sign stands for what a colour says. */
export function FactList({ facts }: { facts: Fact[] }): ReactNode {
  return (
    <dl className="facts">
      {facts.map(({ title, value, level = "", about }) => (
        <div key={title} title={about}>
          <dt>{title}</dt>
          <dd className={level}>{level === "bad" ? "✕ " : level === "warn" ? "! " : ""}{value}</dd>
        </div>
      ))}
    </dl>
  );
}
