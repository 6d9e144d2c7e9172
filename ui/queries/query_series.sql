-- Calls, mean time and load of a statement; nothing ran where others were looked at and it did not change
-- page: query
-- kind: series
-- needs: pg_stat_statements
-- params: server from to queryid
-- columns: t per_second:1/s mean_ms:ms load:sessions rows_a_call:rows read_a_call:blocks hit_a_call:blocks wal:B/s exact
select o.t, coalesce(s.calls, 0) / {step}.0 as per_second, s.ms / nullif(s.calls, 0) as mean_ms, coalesce(s.ms, 0) / ({step} * 1000.0) as load,
  s.rows * 1.0 / nullif(s.calls, 0) as rows_a_call, s.read * 1.0 / nullif(s.calls, 0) as read_a_call, s.hit * 1.0 / nullif(s.calls, 0) as hit_a_call,
  coalesce(s.wal, 0) / {step}.0 as wal, coalesce(s.exact, 1) as exact
from (select {T} as t from pg_stat_statements_delta where {S} and {R} group by 1) o
left join (select {T} as t, sum(calls) as calls, sum(total_exec_time) as ms, sum(rows) as rows, sum(shared_blks_read) as read, sum(shared_blks_hit) as hit,
    sum(wal_bytes) as wal, min(case when delta_quality = 'exact' then 1 else 0 end) as exact
  from pg_stat_statements_delta where {S} and queryid = cast({queryid} as bigint) and {R} group by 1) s on s.t = o.t
order by 1
