-- Sessions at a moment: the newest scrape of each instance after from, up to to
-- page: activity
-- kind: table
-- needs: pg_stat_activity
-- params: server from to
-- columns: instance_id server pid backend_start datname usename application_name client_addr backend_type query_id state wait_event_type
--   wait_event xact_age:s query_age:s state_age:s backend_xmin_age:xids blocked_by relation time query
select a.instance_id, a.server, a.pid, a.backend_start, a.datname, a.usename, a.application_name, a.client_addr, a.backend_type,
  cast(a.query_id as text) as query_id, a.state, a.wait_event_type, a.wait_event, a.xact_age, a.query_age, a.state_age, a.backend_xmin_age,
  a.blocked_by, a.relation, a.time, x.query
from pg_stat_activity a
join (select instance_id, max(time) as newest from pg_stat_activity where {S} and time > {from} and time <= {to} group by 1) n
  on n.instance_id = a.instance_id and n.newest = a.time
left join (select queryid, max(query) as query from pg_query_text_latest where {S} group by 1) x on x.queryid = a.query_id
where a.{S} and a.time > {from} and a.time <= {to}
order by a.xact_age desc nulls last limit 5000
