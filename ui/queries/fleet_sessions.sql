-- Sessions of all servers that are not idle, as each was last seen
-- page: activity of all servers
-- kind: table
-- needs: pg_stat_activity
-- params: from to
-- columns: server_id server pid datname usename application_name backend_type query_id state wait_event_type wait_event xact_age:s query_age:s
--   state_age:s blocked_by time
select a.server_id, a.server, a.pid, a.datname, a.usename, a.application_name, a.backend_type, cast(a.query_id as text) as query_id, a.state,
  a.wait_event_type, a.wait_event, a.xact_age, a.query_age, a.state_age, a.blocked_by, a.time
from pg_stat_activity a
join (select instance_id, max(time) as time from pg_stat_activity where {R} group by 1) n on n.instance_id = a.instance_id and n.time = a.time
where a.time >= {from} and a.time < {to}
order by a.xact_age desc nulls last limit 2000
