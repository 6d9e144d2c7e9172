-- How archiving does on each member
-- page: backups wal
-- kind: table
-- needs: pg_server pg_stat_archiver pg_wal
-- params: server
-- columns: instance_id server in_recovery archive_mode failing last_archived_wal last_archive_age:s last_failed_wal last_failed_age:s
--   archive_ready:files archive_ready_age:s wal_size:B max_wal_size:B
select s.instance_id, s.server, s.in_recovery, s.archive_mode, a.failing, a.last_archived_wal, a.last_archive_age, a.last_failed_wal, a.last_failed_age,
  w.archive_ready, w.archive_ready_age, w.segments_size as wal_size, s.max_wal_size
from pg_server_latest s
left join pg_stat_archiver_latest a on a.instance_id = s.instance_id
left join pg_wal_latest w on w.instance_id = s.instance_id
where s.{S}
order by s.in_recovery, s.server
