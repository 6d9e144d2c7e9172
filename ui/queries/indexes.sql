-- Indexes: size, bloat, use
-- page: indexes
-- kind: table
-- needs: pg_stat_user_indexes pg_index_size pg_bloat_index
-- params: server from to instance
-- columns: database_name schemaname relname indexrelname indisvalid indisunique indisconstraint amname indkey size:B bloat_size:B method
--   scans
select i.database_name, i.schemaname, i.relname, i.indexrelname, i.indisvalid, i.indisunique, i.indisconstraint, i.amname, i.indkey, s.size,
  b.bloat_size, b.method, coalesce(x.scans, 0) as scans
from pg_stat_user_indexes_latest i
left join pg_index_size_latest s on s.instance_id = i.instance_id and s.database_name = i.database_name and s.indexrelid = i.indexrelid
left join pg_bloat_index_latest b on b.instance_id = i.instance_id and b.database_name = i.database_name and b.indexrelid = i.indexrelid
left join (select database_name, indexrelid, sum(idx_scan) as scans from pg_stat_user_indexes_delta where {S} and {R} group by 1, 2) x
  on x.database_name = i.database_name and x.indexrelid = i.indexrelid
where i.instance_id = {instance}
