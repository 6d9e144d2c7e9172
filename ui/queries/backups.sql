-- Stanzas, their last backups and the archive
-- page: backups
-- kind: table
-- needs: pgbackrest_info pg_server pg_stat_archiver pg_wal
-- params:
-- columns: server stanza repo status last_full last_backup failed_backups wal_min wal_max wal_covers_backups server_id failing
--   last_archive_age:s archive_ready
select i.server, i.stanza, i.repo, i.status, i.last_full, i.last_backup, i.failed_backups, i.wal_min, i.wal_max, i.wal_covers_backups, s.server_id,
  a.failing, a.last_archive_age, p.archive_ready
from pgbackrest_info_latest i
left join pg_server_latest s on cast(s.system_identifier as text) = i.system_identifier and not s.in_recovery
left join pg_stat_archiver_latest a on a.instance_id = s.instance_id
left join pg_wal_latest p on p.instance_id = s.instance_id
