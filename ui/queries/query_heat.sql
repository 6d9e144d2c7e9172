-- Means of each minute by size, weighted with their calls
-- page: query
-- kind: series
-- needs: pg_stat_statements
-- params: server from to queryid
-- columns: t bin calls:count
select {T} as t, floor(4 * log10(greatest(total_exec_time / calls, 0.001))) as bin, sum(calls) as calls
from pg_stat_statements_delta where {S} and queryid = cast({queryid} as bigint) and calls > 0 and {R}
group by 1, 2 order by 1, 2
