-- What happened to a server
-- page: every page
-- kind: table
-- needs: pg_event
-- params: server from to
-- columns: time instance_id database_name kind object old new
select time, instance_id, database_name, kind, object, old, new
from pg_event where {S} and {R}
order by time limit 2000
