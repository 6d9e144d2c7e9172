-- Average active sessions of each server, divided by the time that was really observed
-- page: fleet
-- kind: series
-- needs: pg_wait_sampling agent_sampling
-- params: from to
-- columns: server_id t load:sessions
select w.server_id, w.t, w.busy / nullif(o.seen, 0) as load
from (select server_id, {T} as t, sum(sampled_time) as busy from pg_wait_sampling_delta
  where {R} and state = 'active' and backend_type = 'client backend' group by 1, 2) w
join (select server_id, {T} as t, sum(observed_time) as seen from agent_sampling_delta where {R} group by 1, 2) o
  on o.server_id = w.server_id and o.t = w.t
order by 1, 2
