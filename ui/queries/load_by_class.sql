-- Average active sessions by what they wait for; no class where all were idle
-- page: server
-- kind: series
-- needs: pg_wait_sampling agent_sampling
-- params: server from to
-- columns: t wait_class sessions:sessions
select o.t, w.wait_class, sum(coalesce(w.busy, 0) / o.seen) as sessions
from (select instance_id, {T} as t, sum(observed_time) as seen from agent_sampling_delta where {S} and {R} and observed_time > 0 group by 1, 2) o
left join (select instance_id, {T} as t, coalesce(nullif(wait_event_type, ''), 'CPU') as wait_class, sum(sampled_time) as busy
  from pg_wait_sampling_delta where {S} and {R} and state = 'active' and backend_type = 'client backend' group by 1, 2, 3) w
  on w.instance_id = o.instance_id and w.t = o.t
group by 1, 2 order by 1, 2
