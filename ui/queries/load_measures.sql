-- Load by three measures: samples of who was active, time of active sessions, time of statements that ended
-- page: waits
-- kind: series
-- needs: pg_wait_sampling pg_stat_database pg_stat_statements
-- params: server from to
-- columns: t measure load:sessions
select {T} as t, 'samples' as measure, sum(sampled_time) / {step}.0 as load
from pg_wait_sampling_delta where {S} and {R} and state = 'active' and backend_type = 'client backend' group by 1
union all
select {T} as t, 'active sessions' as measure, sum(active_time) / ({step} * 1000.0) as load
from pg_stat_database_delta where {S} and {R} group by 1
union all
select {T} as t, 'statements that ended' as measure, sum(total_exec_time) / ({step} * 1000.0) as load
from pg_stat_statements_delta where {S} and {R} and toplevel group by 1
