-- Average active sessions by what they wait for
-- page: server
-- kind: series
-- needs: pg_wait_sampling agent_sampling
-- params: server from to
-- columns: t wait_class sessions:sessions
select w.t, w.wait_class, w.busy / nullif(o.seen, 0) as sessions
from (select {T} as t, coalesce(nullif(wait_event_type, ''), 'CPU') as wait_class, sum(sampled_time) as busy
  from pg_wait_sampling_delta where {S} and {R} and state = 'active' and backend_type = 'client backend' group by 1, 2) w
join (select {T} as t, sum(observed_time) as seen from agent_sampling_delta where {S} and {R} group by 1) o on o.t = w.t
order by 1, 2
