import { useNavigate } from "@tanstack/react-router";
import { useCallback } from "react";
import { type Search, carried, useSearch } from "../data/url";

/** Goes to a page; the range goes along. */
export function useGo(): (path: string, search?: Search) => void {
  const navigate = useNavigate();
  const here = useSearch();
  return useCallback(
    (path, search = {}) => void navigate({ to: path as never, search: { ...carried(here), ...search } as never }),
    [navigate, here],
  );
}
