-- Backups of a cluster, the newest first
-- page: backups
-- kind: table
-- needs: pgbackrest_backup pgbackrest_info pg_server
-- params: server
-- columns: stanza repo label type started_at stopped_at duration:s error size:B delta:B repo_size:B repo_delta:B wal_start wal_stop pg_version
select b.stanza, b.repo, b.label, b.type, b.started_at, b.stopped_at, b.duration, b.error, b.size, b.delta, b.repo_size, b.repo_delta, b.wal_start,
  b.wal_stop, b.pg_version
from pgbackrest_backup_latest b
join pgbackrest_info_latest i on i.server_id = b.server_id and i.stanza = b.stanza and i.repo = b.repo
left join (select distinct cast(system_identifier as text) as system_identifier from pg_server_latest where {S}) s
  on s.system_identifier = i.system_identifier
where s.system_identifier is not null or b.{S}
order by b.started_at desc limit 1000
