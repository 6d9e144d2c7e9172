-- Who waits for whom, shortly before a moment
-- page: activity
-- kind: table
-- needs: pg_blocking
-- params: server from to
-- columns: time instance_id pid blocked_by blocker_pid root_pid depth lock_type lock_mode relname wait_age:s usename application_name
--   query_id query blocker_state blocker_query root_usename root_application_name root_state root_xact_age:s root_query
select time, instance_id, pid, blocked_by, blocker_pid, root_pid, depth, lock_type, lock_mode, relname, wait_age, usename, application_name,
  cast(query_id as text) as query_id, query, blocker_state, blocker_query, root_usename, root_application_name, root_state, root_xact_age, root_query
from pg_blocking where {S} and time > {from} and time <= {to}
order by time desc, depth, wait_age desc limit 5000
