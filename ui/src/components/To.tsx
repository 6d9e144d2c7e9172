import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { type Search, carried, useSearch } from "../data/url";

interface Props {
  path: string;
  search?: Search;
  className?: string;
  title?: string;
  children: ReactNode;
}

/** A link to a page of ours; the range goes along. */
export function To({ path, search, className, title, children }: Props): ReactNode {
  const here = useSearch();
  const all = { ...carried(here), ...search };
  return (
    <Link to={path as never} search={all as never} className={className ?? ""} title={title} activeOptions={{ exact: false, includeSearch: false }}>
      {children}
    </Link>
  );
}
