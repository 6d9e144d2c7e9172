-- Statements of a database that took most time
-- page: database
-- kind: table
-- needs: pg_stat_statements pg_query_text
-- params: server from to datname
-- columns: queryid usename ms:ms calls:count rows:rows inexact:count query
select cast(a.queryid as text) as queryid, a.usename, a.ms, a.calls, a.rows, a.inexact, x.query
from (select queryid, usename, sum(total_exec_time) as ms, sum(calls) as calls, sum(rows) as rows,
    sum(case when delta_quality = 'exact' then 0 else 1 end) as inexact
  from pg_stat_statements_delta where {S} and {R} and datname = {datname} and toplevel group by 1, 2) a
left join (select queryid, max(query) as query from pg_query_text_latest where {S} group by 1) x on x.queryid = a.queryid
order by a.ms desc limit 50
