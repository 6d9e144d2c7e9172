-- What a database did: transactions, time of its sessions, sessions that ended badly
-- page: database
-- kind: series
-- needs: pg_stat_database
-- params: server from to datname
-- columns: t tps:1/s rollbacks:1/s deadlocks:count temp:B/s hit:% active:sessions idle_in_transaction:sessions fetched:1/s changed:1/s abandoned:count
--   fatal:count killed:count inexact:count
select {T} as t, sum(xact_commit + xact_rollback) / {step}.0 as tps, sum(xact_rollback) / {step}.0 as rollbacks, sum(deadlocks) as deadlocks,
  sum(temp_bytes) / {step}.0 as temp, 100.0 * sum(blks_hit) / nullif(sum(blks_hit + blks_read), 0) as hit,
  sum(active_time) / ({step} * 1000.0) as active, sum(idle_in_transaction_time) / ({step} * 1000.0) as idle_in_transaction,
  sum(tup_fetched) / {step}.0 as fetched, sum(tup_inserted + tup_updated + tup_deleted) / {step}.0 as changed,
  sum(sessions_abandoned) as abandoned, sum(sessions_fatal) as fatal, sum(sessions_killed) as killed,
  max(case when delta_quality = 'exact' then 0 else 1 end) as inexact
from pg_stat_database_delta where {S} and {R} and datname = {datname}
group by 1 order by 1
