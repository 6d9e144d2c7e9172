-- Log entries by class and severity
-- page: logs
-- kind: series
-- needs: pg_log_summary
-- params: server from to
-- columns: t class severity n:count left_out:count
select {T} as t, class, severity, sum(entries) as n, sum(left_out) as left_out
from pg_log_summary_delta where {S} and {R}
group by 1, 2, 3 order by 1
