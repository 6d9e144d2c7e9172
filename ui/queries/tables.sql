-- Tables of the primary: size, growth, changes, scans, bloat, vacuum
-- page: tables
-- kind: table
-- needs: pg_stat_user_tables pg_table_size pg_bloat_table pg_vacuum_need pg_server
-- params: server from to
-- columns: database_name schemaname relname relid partition_root total_size:B heap_size:B toast_size:B index_size:B skipped was:B n_live_tup:rows
--   n_dead_tup:rows last_autovacuum ins:rows upd:rows hot:rows seq_scan:count idx_scan:count bloat_size:B method reason vacuum_ratio:ratio
--   freeze_ratio:ratio
select t.database_name, t.schemaname, t.relname, cast(t.relid as text) as relid, t.partition_root, z.total_size, z.heap_size, z.toast_size, z.index_size,
  z.skipped, g.was, t.n_live_tup, t.n_dead_tup, t.last_autovacuum, d.ins, d.upd, d.hot, d.seq_scan, d.idx_scan, b.bloat_size, b.method, b.reason,
  v.vacuum_ratio, v.freeze_ratio
from pg_stat_user_tables_latest t
join pg_server_latest p on p.instance_id = t.instance_id and not p.in_recovery
left join pg_table_size_latest z on z.instance_id = t.instance_id and z.database_name = t.database_name and z.relid = t.relid
left join (select instance_id, database_name, relid, sum(n_tup_ins) as ins, sum(n_tup_upd) as upd, sum(n_tup_hot_upd) as hot,
    sum(seq_scan) as seq_scan, sum(idx_scan) as idx_scan
  from pg_stat_user_tables_delta where {S} and {R} group by 1, 2, 3) d
  on d.instance_id = t.instance_id and d.database_name = t.database_name and d.relid = t.relid
left join (select instance_id, database_name, relid, min(total_size) as was
  from pg_table_size where {S} and {R} group by 1, 2, 3) g
  on g.instance_id = t.instance_id and g.database_name = t.database_name and g.relid = t.relid
left join pg_bloat_table_latest b on b.instance_id = t.instance_id and b.database_name = t.database_name and b.relid = t.relid
left join pg_vacuum_need_latest v on v.instance_id = t.instance_id and v.database_name = t.database_name and v.relid = t.relid
where t.{S}
order by z.total_size desc nulls last limit 5000
