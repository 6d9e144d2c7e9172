-- Log entries of all servers
-- page: logs of all servers
-- kind: table
-- needs: pg_log
-- params: from to severity pattern
-- columns: server_id server time log_time class severity sqlstate pid datname usename application_name remote_host message detail hint query_id
--   duration_ms:ms file file_offset
select server_id, server, time, log_time, class, severity, sqlstate, pid, datname, usename, application_name, remote_host, message, detail, hint,
  cast(query_id as text) as query_id, duration_ms, file, file_offset
from pg_log where {R} and ({severity} = '' or severity = {severity}) and (message ilike {pattern} or query ilike {pattern})
order by time desc, file desc, file_offset desc limit 500
