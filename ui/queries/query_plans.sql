-- Plans that the log has
-- page: query
-- kind: table
-- needs: pg_log_plan
-- params: server from to queryid
-- columns: time log_time duration_ms:ms format plan usename application_name file file_offset
select time, log_time, duration_ms, format, plan, usename, application_name, file, file_offset
from pg_log_plan where {S} and query_id = cast({queryid} as bigint) and {R}
order by time desc limit 500
