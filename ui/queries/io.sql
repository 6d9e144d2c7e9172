-- Reads and writes by who did them and why
-- page: server
-- kind: table
-- needs: pg_stat_io
-- params: server from to
-- columns: backend_type object context read:B written:B ms_a_read:ms evicted:count fsyncs:count
select backend_type, object, context, sum(read_bytes) as read, sum(write_bytes) as written,
  sum(read_time) / nullif(sum(reads), 0) as ms_a_read, sum(evictions) as evicted, sum(fsyncs) as fsyncs
from pg_stat_io_delta where {S} and {R}
group by 1, 2, 3 order by 4 desc nulls last
