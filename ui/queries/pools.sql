-- Pools: who waits and how long
-- page: pooler
-- kind: series
-- needs: pgbouncer_pools
-- params: server from to
-- columns: t database user longest:s waiting:count busy:count
select t, database, "user", max(wait) as longest, avg(waiting) as waiting, avg(busy) as busy
from (select {T} as t, database, "user", maxwait as wait, cl_waiting as waiting, sv_active as busy from pgbouncer_pools where {S} and {R}) x
group by 1, 2, 3 order by 1
