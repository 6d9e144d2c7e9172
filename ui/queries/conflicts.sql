-- Queries that standbys cancelled because of what they replayed
-- page: database replication
-- kind: series
-- needs: pg_stat_database_conflicts
-- params: server from to
-- columns: t datname n:queries
select {T} as t, datname, sum(confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock) as n
from pg_stat_database_conflicts_delta where {S} and {R}
group by 1, 2 order by 1
