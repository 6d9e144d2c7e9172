-- A table on the primary: size, rows, bloat, what vacuum thinks of it
-- page: table
-- kind: table
-- needs: pg_stat_user_tables pg_table_size pg_bloat_table pg_vacuum_need pg_server
-- params: server datname relid
-- columns: schemaname relname partition_root reloptions total_size:B heap_size:B toast_size:B index_size:B skipped n_live_tup:rows n_dead_tup:rows
--   n_mod_since_analyze:rows last_vacuum last_autovacuum last_analyze last_autoanalyze last_seq_scan last_idx_scan bloat_size:B bloat_ratio:ratio
--   method reason autovacuum_enabled vacuum_threshold:rows vacuum_ratio:ratio insert_ratio:ratio analyze_ratio:ratio freeze_ratio:ratio
select t.schemaname, t.relname, t.partition_root, t.reloptions, z.total_size, z.heap_size, z.toast_size, z.index_size, z.skipped, t.n_live_tup,
  t.n_dead_tup, t.n_mod_since_analyze, t.last_vacuum, t.last_autovacuum, t.last_analyze, t.last_autoanalyze, t.last_seq_scan, t.last_idx_scan,
  b.bloat_size, b.bloat_ratio, b.method, b.reason, v.autovacuum_enabled, v.vacuum_threshold, v.vacuum_ratio, v.insert_ratio, v.analyze_ratio,
  v.freeze_ratio
from pg_stat_user_tables_latest t
join pg_server_latest p on p.instance_id = t.instance_id and not p.in_recovery
left join pg_table_size_latest z on z.instance_id = t.instance_id and z.database_name = t.database_name and z.relid = t.relid
left join pg_bloat_table_latest b on b.instance_id = t.instance_id and b.database_name = t.database_name and b.relid = t.relid
left join pg_vacuum_need_latest v on v.instance_id = t.instance_id and v.database_name = t.database_name and v.relid = t.relid
where t.{S} and t.database_name = {datname} and t.relid = cast({relid} as bigint)
