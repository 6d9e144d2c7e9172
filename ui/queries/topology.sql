-- Members of a cluster and who follows whom
-- page: replication
-- kind: table
-- needs: pg_server pg_stat_replication pg_stat_wal_receiver pg_standby
-- params: server
-- columns: instance_id server in_recovery timeline wal_lsn application_name client_addr slot_name state sync_state sent_lag_bytes:B
--   flush_lag_bytes:B replay_lag_bytes:B replay_delay:s sender_host receives_by own_delay:s streaming paused
select s.instance_id, s.server, s.in_recovery, s.timeline, s.wal_lsn, p.application_name, p.client_addr, p.slot_name, p.state, p.sync_state, p.sent_lag_bytes,
  p.flush_lag_bytes, p.replay_lag_bytes, p.replay_delay, w.sender_host, w.slot_name as receives_by, y.replay_delay as own_delay, y.streaming, y.paused
from pg_server_latest s
left join pg_stat_replication_latest p on p.instance_id = s.instance_id
left join pg_stat_wal_receiver_latest w on w.instance_id = s.instance_id
left join pg_standby_latest y on y.instance_id = s.instance_id
where s.{S}
