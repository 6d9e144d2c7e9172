-- What could end badly, each as its worst figure
-- page: server
-- kind: fact
-- needs: pg_stat_archiver pg_database_wraparound pg_replication_slots pg_blocking pg_stat_replication pg_standby pg_server
-- params: server
-- columns: freeze:ratio wraparound:ratio idle_slots slot_bytes:B replicas replica_lag_bytes:B standby_delay:s waiting:count
--   archivers_failing pending_restart
select (select max(freeze_ratio) from pg_database_wraparound_latest where {S}) as freeze,
  (select max(wraparound_ratio) from pg_database_wraparound_latest where {S}) as wraparound,
  (select count(*) from pg_replication_slots_latest where {S} and not active) as idle_slots,
  (select max(retained_bytes) from pg_replication_slots_latest where {S}) as slot_bytes,
  (select count(*) from pg_stat_replication_latest where {S}) as replicas,
  (select max(replay_lag_bytes) from pg_stat_replication_latest where {S}) as replica_lag_bytes,
  (select max(replay_delay) from pg_standby_latest where {S}) as standby_delay,
  (select count(*) from pg_blocking_latest where {S}) as waiting,
  (select count(*) from pg_stat_archiver_latest where {S} and failing) as archivers_failing,
  (select max(pending_restart) from pg_server_latest where {S}) as pending_restart
