-- Rows of a table that are live and dead, on the primary
-- page: table
-- kind: series
-- needs: pg_stat_user_tables pg_server
-- params: server from to datname relid
-- columns: t live:rows dead:rows
select x.t, avg(x.n_live_tup) as live, avg(x.n_dead_tup) as dead
from (select {T} as t, instance_id, n_live_tup, n_dead_tup from pg_stat_user_tables
  where {S} and {R} and database_name = {datname} and relid = cast({relid} as bigint)) x
join pg_server_latest p on p.instance_id = x.instance_id and not p.in_recovery
group by 1 order by 1
