-- Transactions, rollbacks, cache and temporary files of each database
-- page: server
-- kind: series
-- needs: pg_stat_database
-- params: server from to
-- columns: t datname tps:1/s rollbacks:1/s deadlocks:count temp:B/s hit:% inexact
select {T} as t, datname, sum(xact_commit + xact_rollback) / {step}.0 as tps, sum(xact_rollback) / {step}.0 as rollbacks,
  sum(deadlocks) as deadlocks, sum(temp_bytes) / {step}.0 as temp, 100.0 * sum(blks_hit) / nullif(sum(blks_hit + blks_read), 0) as hit,
  max(case when delta_quality = 'exact' then 0 else 1 end) as inexact
from pg_stat_database_delta where {S} and {R} and datname <> ''
group by 1, 2 order by 1
