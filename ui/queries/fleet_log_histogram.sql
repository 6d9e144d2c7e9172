-- Log entries of all servers by severity; complete also where entries were left out
-- page: logs of all servers
-- kind: series
-- needs: pg_log_summary
-- params: from to
-- columns: t severity server n:count left_out:count
select {T} as t, severity, server, sum(entries) as n, sum(left_out) as left_out
from pg_log_summary_delta where {R}
group by 1, 2, 3 order by 1
