-- What vacuum did, from the log
-- page: vacuum
-- kind: table
-- needs: pg_log_autovacuum
-- params: server from to
-- columns: datname schemaname relname runs seconds:s removed:rows not_removable:rows cutoff_age:xids index_scans
select datname, schemaname, relname, count(*) as runs, sum(elapsed) as seconds, sum(tuples_removed) as removed, sum(tuples_dead) as not_removable,
  max(removable_cutoff_age) as cutoff_age, max(index_scans) as index_scans
from pg_log_autovacuum where {S} and command = 'vacuum' and {R}
group by 1, 2, 3 order by seconds desc nulls last limit 500
