-- Statements of all servers by what they cost; before_from and before_to are the other period
-- page: queries of all servers
-- kind: table
-- needs: pg_stat_statements pg_query_text
-- params: from to before_from before_to
-- columns: server_id server queryid datname usename ms:ms calls:count rows:rows hit:blocks read:blocks temp:blocks wal:B io_ms:ms inexact:count
--   ms_before:ms calls_before:count query
select coalesce(a.server_id, b.server_id) as server_id, coalesce(a.server, b.server) as server, cast(coalesce(a.queryid, b.queryid) as text) as queryid,
  coalesce(a.datname, b.datname) as datname, coalesce(a.usename, b.usename) as usename, a.ms, a.calls, a.rows, a.hit, a.read, a.temp, a.wal, a.io_ms,
  a.inexact, b.ms as ms_before, b.calls as calls_before, x.query
from (select server_id, max(server) as server, queryid, datname, usename, toplevel, sum(total_exec_time) as ms, sum(calls) as calls, sum(rows) as rows,
    sum(shared_blks_hit) as hit, sum(shared_blks_read) as read, sum(temp_blks_written) as temp, sum(wal_bytes) as wal,
    sum(coalesce(shared_blk_read_time, 0) + coalesce(shared_blk_write_time, 0)) as io_ms,
    sum(case when delta_quality = 'exact' then 0 else 1 end) as inexact
  from pg_stat_statements_delta where {R} and calls > 0 group by 1, 3, 4, 5, 6) a
full join (select server_id, max(server) as server, queryid, datname, usename, toplevel, sum(total_exec_time) as ms, sum(calls) as calls
  from pg_stat_statements_delta where time >= {before_from} and time < {before_to} and calls > 0 group by 1, 3, 4, 5, 6) b
  on b.server_id = a.server_id and b.queryid = a.queryid and b.datname = a.datname and b.usename = a.usename and b.toplevel = a.toplevel
left join (select server_id, queryid, max(query) as query from pg_query_text_latest group by 1, 2) x
  on x.server_id = coalesce(a.server_id, b.server_id) and x.queryid = coalesce(a.queryid, b.queryid)
order by abs(coalesce(a.ms, 0) - coalesce(b.ms, 0)) desc limit 500
