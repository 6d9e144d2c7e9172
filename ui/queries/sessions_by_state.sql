-- Sessions by state: mean and most of each step
-- page: server
-- kind: series
-- needs: pg_stat_activity_summary
-- params: server from to
-- columns: t state n:sessions most:sessions
select t, state, avg(n) as n, max(n) as most
from (select {T} as t, time, state, sum("count") as n from pg_stat_activity_summary
  where {S} and {R} and backend_type = 'client backend' group by 1, 2, 3) as each
group by 1, 2 order by 1
