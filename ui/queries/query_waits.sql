-- What a statement waited for
-- page: query
-- kind: series
-- needs: pg_wait_sampling
-- params: server from to queryid
-- columns: t wait_class wait_event s:s
select {T} as t, coalesce(nullif(wait_event_type, ''), 'CPU') as wait_class, wait_event, sum(sampled_time) as s
from pg_wait_sampling_delta where {S} and query_id = cast({queryid} as bigint) and state = 'active' and {R}
group by 1, 2, 3 order by 1
