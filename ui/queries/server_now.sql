-- What a server is
-- page: server
-- kind: fact
-- needs: pg_server
-- params: server
-- columns: instance_id server version server_version_num in_recovery start_time max_connections pending_restart archive_mode fsync
--   full_page_writes autovacuum time
select s.instance_id, s.server, s.version, s.server_version_num, s.in_recovery, s.start_time, s.max_connections, s.pending_restart, s.archive_mode,
  s.fsync, s.full_page_writes, s.autovacuum, s.time
from pg_server_latest s where {S}
order by s.in_recovery, s.server
