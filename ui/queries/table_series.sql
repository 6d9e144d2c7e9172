-- What was done to a table: changes, scans, blocks, over all members
-- page: table
-- kind: series
-- needs: pg_stat_user_tables
-- params: server from to datname relid
-- columns: t inserted:1/s updated:1/s hot:1/s deleted:1/s seq_scan:1/s idx_scan:1/s seq_rows:1/s idx_rows:1/s hit:% read:blocks vacuums:count inexact:count
select {T} as t, sum(n_tup_ins) / {step}.0 as inserted, sum(n_tup_upd - n_tup_hot_upd) / {step}.0 as updated, sum(n_tup_hot_upd) / {step}.0 as hot,
  sum(n_tup_del) / {step}.0 as deleted, sum(seq_scan) / {step}.0 as seq_scan, sum(idx_scan) / {step}.0 as idx_scan,
  sum(seq_tup_read) / {step}.0 as seq_rows, sum(idx_tup_fetch) / {step}.0 as idx_rows,
  100.0 * sum(heap_blks_hit) / nullif(sum(heap_blks_hit + heap_blks_read), 0) as hit, sum(heap_blks_read) as read,
  sum(vacuum_count + autovacuum_count) as vacuums, max(case when delta_quality = 'exact' then 0 else 1 end) as inexact
from pg_stat_user_tables_delta where {S} and {R} and database_name = {datname} and relid = cast({relid} as bigint)
group by 1 order by 1
