-- Indexes of the primary: size, bloat, and use on all members
-- page: indexes
-- kind: table
-- needs: pg_stat_user_indexes pg_index_size pg_bloat_index pg_server
-- params: server from to
-- columns: database_name schemaname relname indexrelname indisvalid indisunique indisconstraint indispartial amname indkey size:B bloat_size:B
--   method scans:count last_idx_scan
select i.database_name, i.schemaname, i.relname, i.indexrelname, i.indisvalid, i.indisunique, i.indisconstraint, i.indispartial, i.amname, i.indkey, s.size,
  b.bloat_size, b.method, coalesce(x.scans, 0) as scans, y.last_idx_scan
from pg_stat_user_indexes_latest i
join pg_server_latest p on p.instance_id = i.instance_id and not p.in_recovery
left join pg_index_size_latest s on s.instance_id = i.instance_id and s.database_name = i.database_name and s.indexrelid = i.indexrelid
left join pg_bloat_index_latest b on b.instance_id = i.instance_id and b.database_name = i.database_name and b.indexrelid = i.indexrelid
left join (select database_name, indexrelid, sum(idx_scan) as scans from pg_stat_user_indexes_delta where {S} and {R} group by 1, 2) x
  on x.database_name = i.database_name and x.indexrelid = i.indexrelid
left join (select database_name, indexrelid, max(last_idx_scan) as last_idx_scan from pg_stat_user_indexes_latest where {S} group by 1, 2) y
  on y.database_name = i.database_name and y.indexrelid = i.indexrelid
where i.{S}
order by s.size desc nulls last limit 5000
