-- Text and owners of a statement
-- page: query
-- kind: fact
-- needs: pg_query_text pg_stat_statements
-- params: server queryid
-- columns: query query_length datname usename calls:count total_exec_time:ms min_exec_time:ms max_exec_time:ms stddev_exec_time:ms
--   stats_since time
select x.query, x.query_length, s.datname, s.usename, s.calls, s.total_exec_time, s.min_exec_time, s.max_exec_time, s.stddev_exec_time, s.stats_since, s.time
from pg_stat_statements_latest s
left join (select queryid, max(query) as query, max(query_length) as query_length from pg_query_text_latest where {S} group by 1) x on x.queryid = s.queryid
where s.{S} and s.queryid = cast({queryid} as bigint)
order by s.total_exec_time desc limit 50
