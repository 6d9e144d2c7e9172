// Deploys and notes: what people and their pipelines say of a time.
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { getJson, request } from "./api";
import { type Range, printTime } from "./range";

export interface Annotation {
  id: string;
  title: string;
  time: string;
  until: string | null;
  server_id: string | null;
  tags: string[];
  url: string | null;
  author: string;
  mine: boolean;
}

/** Only addresses of the web become links, whatever a server says. */
export const isWebAddress = (url: string | null): url is string => url !== null && /^https?:\/\//i.test(url);

/** Those of a range; of one server and of all, or of everything. */
export function useAnnotations(range: Range | null, serverId: string | null): Annotation[] {
  // To the minute: a range that follows the present is not asked for each second.
  const minute = (at: number): number => Math.floor(at / 60_000) * 60_000;
  const [from, to] = range ? [minute(range.from), minute(range.to) + 60_000] : [0, 0];
  const query = useQuery({
    queryKey: ["annotations", from, to, serverId],
    enabled: range !== null,
    staleTime: 30_000,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }): Promise<Annotation[]> => {
      const params = new URLSearchParams({ from: printTime(from), to: printTime(to), page_size: "500", ...(serverId ? { server_id: serverId } : {}) });
      return (await getJson<{ data: Annotation[] }>(`annotations?${params.toString()}`, signal)).data;
    },
  });
  return query.data ?? [];
}

export interface NewAnnotation {
  title: string;
  time?: string;
  until?: string;
  server_id?: string;
  tags?: string[];
  url?: string;
}

/** Writes and removes; lists are asked anew. */
export function useAnnotate(): { add: (note: NewAnnotation) => Promise<void>; remove: (id: string) => Promise<void> } {
  const client = useQueryClient();
  const anew = (): Promise<void> => client.invalidateQueries({ queryKey: ["annotations"] });
  return {
    add: async (note) => {
      await request("POST", "annotations", { body: note });
      await anew();
    },
    remove: async (id) => {
      await request("DELETE", `annotations/${encodeURIComponent(id)}`);
      await anew();
    },
  };
}
