-- Tables that vacuum or analyze is due for
-- page: vacuum
-- kind: table
-- needs: pg_vacuum_need
-- params: server
-- columns: database_name schemaname relname autovacuum_enabled n_dead_tup:rows vacuum_ratio:ratio insert_ratio:ratio analyze_ratio:ratio
--   freeze_ratio:ratio
select database_name, schemaname, relname, autovacuum_enabled, n_dead_tup, vacuum_ratio, insert_ratio, analyze_ratio, freeze_ratio
from pg_vacuum_need_latest where {S} and (vacuum_ratio >= 1 or insert_ratio >= 1 or freeze_ratio >= 0.8)
order by vacuum_ratio desc nulls last limit 1000
