-- What happened, on all servers
-- page: events
-- kind: table
-- needs: pg_event
-- params: from to
-- columns: time server_id server instance_id database_name kind object old new
select time, server_id, server, instance_id, database_name, kind, object, old, new
from pg_event where {R}
order by time desc limit 2000
