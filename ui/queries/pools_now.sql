-- Pools: who waits, and how much of a pool is in use
-- page: pooler
-- kind: table
-- needs: pgbouncer_pools pgbouncer_databases
-- params: server
-- columns: database user cl_active:count cl_waiting:count maxwait:s sv_active:count sv_idle:count sv_used:count sv_login:count pool_mode
--   pool_size:count paused disabled
select p.database, p."user", p.cl_active, p.cl_waiting, p.maxwait, p.sv_active, p.sv_idle, p.sv_used, p.sv_login, p.pool_mode, d.pool_size, d.paused,
  d.disabled
from pgbouncer_pools_latest p
left join pgbouncer_databases_latest d on d.instance_id = p.instance_id and d.name = p.database
where p.{S}
order by p.cl_waiting desc, p.maxwait desc, p.database, p."user" limit 2000
