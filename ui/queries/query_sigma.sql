-- Mean and deviation between two scrapes of one epoch; from and to are their times
-- page: query
-- kind: fact
-- needs: pg_stat_statements
-- params: server from to queryid
-- columns: mean_ms:ms sigma_ms:ms
select (z.t - y.t) / nullif(z.n - y.n, 0) as mean_ms,
  sqrt(greatest((z.s - y.s) / nullif(z.n - y.n, 0) - power((z.t - y.t) / nullif(z.n - y.n, 0), 2), 0)) as sigma_ms
from (select dbid, userid, toplevel, calls as n, total_exec_time as t,
    calls * power(stddev_exec_time, 2) + power(total_exec_time, 2) / nullif(calls, 0) as s
  from pg_stat_statements where {S} and queryid = cast({queryid} as bigint) and time = {to}) z
join (select dbid, userid, toplevel, calls as n, total_exec_time as t,
    calls * power(stddev_exec_time, 2) + power(total_exec_time, 2) / nullif(calls, 0) as s
  from pg_stat_statements where {S} and queryid = cast({queryid} as bigint) and time = {from}) y
  on y.dbid = z.dbid and y.userid = z.userid and y.toplevel = z.toplevel
