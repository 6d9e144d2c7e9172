-- Replication slots and the time until one is lost
-- page: replication
-- kind: table
-- needs: pg_replication_slots pg_stat_wal
-- params: server
-- columns: slot_name slot_type active wal_status retained_bytes:B safe_wal_size:B inactive_since invalidation_reason seconds_to_loss:s
select l.slot_name, l.slot_type, l.active, l.wal_status, l.retained_bytes, l.safe_wal_size, l.inactive_since, l.invalidation_reason,
  l.safe_wal_size / nullif(r.rate, 0) as seconds_to_loss
from pg_replication_slots_latest l
left join (select instance_id, sum(wal_bytes) / 3600.0 as rate from pg_stat_wal_delta where {S} and time >= now() - interval '1 hour' group by 1) r
  on r.instance_id = l.instance_id
where l.{S}
