-- Stanzas that hold backups of a cluster, and how its archive does
-- page: backups
-- kind: table
-- needs: pgbackrest_info pg_server
-- params: server
-- columns: backup_server_id stanza repo status status_code backups:count full_backups:count failed_backups:count last_full last_backup last_type
--   last_duration:s last_size:B last_repo_size:B last_error wal_min wal_max wal_covers_backups backup_running backup_done_bytes:B
--   backup_total_bytes:B cipher
select i.server_id as backup_server_id, i.stanza, i.repo, i.status, i.status_code, i.backups, i.full_backups, i.failed_backups, i.last_full,
  i.last_backup, i.last_type, i.last_duration, i.last_size, i.last_repo_size, i.last_error, i.wal_min, i.wal_max, i.wal_covers_backups,
  i.backup_running, i.backup_done_bytes, i.backup_total_bytes, i.cipher
from pgbackrest_info_latest i
left join (select distinct cast(system_identifier as text) as system_identifier from pg_server_latest where {S}) s
  on s.system_identifier = i.system_identifier
where s.system_identifier is not null or i.{S}
order by i.stanza, i.repo
