-- A statement as it was seen running
-- page: query
-- kind: table
-- needs: pg_stat_activity
-- params: server from to queryid
-- columns: time pid datname usename application_name client_addr state wait_event_type wait_event query_age:s blocked_by
select time, pid, datname, usename, application_name, client_addr, state, wait_event_type, wait_event, query_age, blocked_by
from pg_stat_activity where {S} and query_id = cast({queryid} as bigint) and {R} and state = 'active'
order by time desc, query_age desc limit 200
