-- Indexes of a table on the primary; scans are those of all members
-- page: table
-- kind: table
-- needs: pg_stat_user_indexes pg_index_size pg_bloat_index pg_server
-- params: server from to datname relid
-- columns: database_name schemaname relname indexrelname indisvalid indisunique indisconstraint indispartial amname indkey last_idx_scan size:B
--   bloat_size:B method scans:count
select i.database_name, i.schemaname, i.relname, i.indexrelname, i.indisvalid, i.indisunique, i.indisconstraint, i.indispartial, i.amname, i.indkey,
  i.last_idx_scan, s.size, b.bloat_size, b.method, coalesce(x.scans, 0) as scans
from pg_stat_user_indexes_latest i
join pg_server_latest p on p.instance_id = i.instance_id and not p.in_recovery
left join pg_index_size_latest s on s.instance_id = i.instance_id and s.database_name = i.database_name and s.indexrelid = i.indexrelid
left join pg_bloat_index_latest b on b.instance_id = i.instance_id and b.database_name = i.database_name and b.indexrelid = i.indexrelid
left join (select indexrelid, sum(idx_scan) as scans from pg_stat_user_indexes_delta where {S} and {R} and database_name = {datname} group by 1) x
  on x.indexrelid = i.indexrelid
where i.{S} and i.database_name = {datname} and i.relid = cast({relid} as bigint)
order by i.indexrelname
