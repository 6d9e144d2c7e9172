-- Calls, mean time and load of a statement
-- page: query
-- kind: series
-- needs: pg_stat_statements
-- params: server from to queryid
-- columns: t per_second:1/s mean_ms:ms load:sessions rows_a_call:rows read_a_call:blocks hit_a_call:blocks wal:B/s exact
select {T} as t, sum(calls) / {step}.0 as per_second, sum(total_exec_time) / nullif(sum(calls), 0) as mean_ms, sum(total_exec_time) / ({step} * 1000.0) as load,
  sum(rows) * 1.0 / nullif(sum(calls), 0) as rows_a_call, sum(shared_blks_read) * 1.0 / nullif(sum(calls), 0) as read_a_call,
  sum(shared_blks_hit) * 1.0 / nullif(sum(calls), 0) as hit_a_call, sum(wal_bytes) / {step}.0 as wal,
  min(case when delta_quality = 'exact' then 1 else 0 end) as exact
from pg_stat_statements_delta where {S} and queryid = cast({queryid} as bigint) and {R}
group by 1 order by 1
