-- Largest tables of a database, on the primary
-- page: database
-- kind: table
-- needs: pg_table_size pg_stat_user_tables pg_server
-- params: server datname
-- columns: schemaname relname relid total_size:B n_live_tup:rows n_dead_tup:rows
select z.schemaname, z.relname, cast(z.relid as text) as relid, z.total_size, t.n_live_tup, t.n_dead_tup
from pg_table_size_latest z
join pg_server_latest p on p.instance_id = z.instance_id and not p.in_recovery
left join pg_stat_user_tables_latest t on t.instance_id = z.instance_id and t.database_name = z.database_name and t.relid = z.relid
where z.{S} and z.database_name = {datname}
order by z.total_size desc nulls last limit 50
