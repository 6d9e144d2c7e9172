-- Transactions and times of a pooler
-- page: pooler
-- kind: series
-- needs: pgbouncer_stats
-- params: server from to
-- columns: t database tps:1/s query_s:s wait_s:s
select {T} as t, database, sum(xact_count) / {step}.0 as tps, sum(query_time) / nullif(sum(query_count), 0) as query_s,
  sum(wait_time) / nullif(sum(server_assignment_count), 0) as wait_s
from pgbouncer_stats_delta where {S} and {R}
group by 1, 2 order by 1
