-- Average active sessions of each server, divided by the time that was really observed
-- page: fleet
-- kind: series
-- needs: pg_wait_sampling agent_sampling
-- params: from to
-- columns: server_id t load:sessions
select o.server_id, o.t, sum(coalesce(w.busy, 0) / o.seen) as load
from (select server_id, instance_id, {T} as t, sum(observed_time) as seen from agent_sampling_delta where {R} and observed_time > 0 group by 1, 2, 3) o
left join (select instance_id, {T} as t, sum(sampled_time) as busy from pg_wait_sampling_delta
  where {R} and state = 'active' and backend_type = 'client backend' group by 1, 2) w
  on w.instance_id = o.instance_id and w.t = o.t
group by 1, 2 order by 1, 2
