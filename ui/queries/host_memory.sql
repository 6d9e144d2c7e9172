-- Memory of a host: what can be had, what is cached, what waits to be written
-- page: host
-- kind: series
-- needs: sysstat
-- params: server from to
-- columns: t used:B cached:B available:B dirty:B swap_used:B
select {T} as t, avg(mem_total - mem_available) as used, avg(mem_cached) as cached, min(mem_available) as available, max(mem_dirty) as dirty,
  max(swap_total - swap_free) as swap_used
from sysstat where {S} and {R}
group by 1 order by 1
