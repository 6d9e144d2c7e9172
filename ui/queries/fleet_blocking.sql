-- Sessions of all servers that wait for a lock, with who is at the head of the queue
-- page: activity of all servers
-- kind: table
-- needs: pg_blocking
-- params: from to
-- columns: server_id server root_pid root_usename root_application_name root_state waiting:sessions longest:s root_query time
select server_id, max(server) as server, root_pid, root_usename, root_application_name, root_state, count(distinct pid) as waiting,
  max(wait_age) as longest, max(root_query) as root_query, max(time) as time
from pg_blocking where {R}
group by server_id, root_pid, root_usename, root_application_name, root_state
order by longest desc nulls last limit 500
