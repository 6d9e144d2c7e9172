-- Seconds that others waited for locks, billed to the statement at the head of the queue and its state
-- page: activity
-- kind: table
-- needs: pg_wait_sampling pg_query_text
-- params: server from to
-- columns: blocker state waited:s share:ratio waiters:count query
select w.blocker, w.state, w.waited, w.waited / nullif(a.waited, 0) as share, w.waiters, x.query
from (select cast(blocker_query_id as text) as blocker, coalesce(nullif(blocker_state, ''), 'unknown') as state, sum(sampled_time) as waited,
    count(distinct query_id) as waiters
  from pg_wait_sampling_delta where {S} and {R} and wait_event_type = 'Lock' group by 1, 2) w
cross join (select sum(sampled_time) as waited from pg_wait_sampling_delta where {S} and {R} and wait_event_type = 'Lock') a
left join (select cast(queryid as text) as queryid, max(query) as query from pg_query_text_latest where {S} group by 1) x on x.queryid = w.blocker
order by w.waited desc limit 100
