-- The slowest runs that the log has
-- page: query
-- kind: table
-- needs: pg_log
-- params: server from to queryid
-- columns: duration_ms:ms time pid usename application_name file file_offset
select duration_ms, time, pid, usename, application_name, file, file_offset
from pg_log where {S} and query_id = cast({queryid} as bigint) and class in ('slow_statement', 'plan') and {R}
order by duration_ms desc limit 10000
