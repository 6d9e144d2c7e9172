-- WAL that is written
-- page: replication
-- kind: series
-- needs: pg_stat_wal
-- params: server from to
-- columns: t bytes_a_second:B/s full_page_share:ratio buffers_full
select {T} as t, sum(wal_bytes) / {step}.0 as bytes_a_second, sum(wal_fpi) * 1.0 / nullif(sum(wal_records), 0) as full_page_share,
  sum(wal_buffers_full) as buffers_full
from pg_stat_wal_delta where {S} and {R}
group by 1 order by 1
