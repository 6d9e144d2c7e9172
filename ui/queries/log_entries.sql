-- Log entries with a word in them, of one severity or (empty) of all
-- page: logs
-- kind: table
-- needs: pg_log
-- params: server from to severity pattern
-- columns: time log_time class severity sqlstate pid datname usename application_name remote_host message detail hint query_id duration_ms:ms file
--   file_offset
select time, log_time, class, severity, sqlstate, pid, datname, usename, application_name, remote_host, message, detail, hint,
  cast(query_id as text) as query_id, duration_ms, file, file_offset
from pg_log where {S} and {R} and ({severity} = '' or severity = {severity}) and (message ilike {pattern} or query ilike {pattern})
order by time desc, file desc, file_offset desc limit 500
