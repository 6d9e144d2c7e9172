-- What a statement waited for; no class where it was not seen
-- page: query
-- kind: series
-- needs: pg_wait_sampling agent_sampling
-- params: server from to queryid
-- columns: t wait_class wait_event s:s
select o.t, w.wait_class, w.wait_event, sum(coalesce(w.s, 0)) as s
from (select {T} as t from agent_sampling_delta where {S} and {R} and observed_time > 0 group by 1) o
left join (select {T} as t, coalesce(nullif(wait_event_type, ''), 'CPU') as wait_class, wait_event, sum(sampled_time) as s
  from pg_wait_sampling_delta where {S} and query_id = cast({queryid} as bigint) and state = 'active' and {R} group by 1, 2, 3) w on w.t = o.t
group by 1, 2, 3 order by 1
