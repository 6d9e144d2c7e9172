-- How much of the databases’ active time the statements explain
-- page: queries
-- kind: fact
-- needs: pg_stat_statements pg_stat_database
-- params: server from to
-- columns: share:ratio
select s.ms / nullif(d.ms, 0) as share
from (select sum(total_exec_time) as ms from pg_stat_statements_delta where {S} and {R} and toplevel) s
cross join (select sum(active_time) as ms from pg_stat_database_delta where {S} and {R}) d
