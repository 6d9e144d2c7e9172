-- Seconds that sessions waited for locks, by the state of who held them; no holder where nobody waited
-- page: activity
-- kind: series
-- needs: pg_wait_sampling agent_sampling
-- params: server from to
-- columns: t holder blocker s:s
select o.t, w.holder, w.blocker, sum(coalesce(w.s, 0)) as s
from (select {T} as t from agent_sampling_delta where {S} and {R} and observed_time > 0 group by 1) o
left join (select {T} as t, coalesce(nullif(blocker_state, ''), 'unknown') as holder, cast(blocker_query_id as text) as blocker, sum(sampled_time) as s
  from pg_wait_sampling_delta where {S} and wait_event_type = 'Lock' and {R} group by 1, 2, 3) w on w.t = o.t
group by 1, 2, 3 order by 1
