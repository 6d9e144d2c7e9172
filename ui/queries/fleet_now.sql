-- The present of each instance
-- page: fleet
-- kind: table
-- needs: pg_up pg_server pg_stat_database pg_database_wraparound pg_blocking pg_standby agent_scrape
-- params:
-- columns: server_id instance_id server up error time server_version_num in_recovery start_time pending_restart max_connections
--   backends:sessions freeze:ratio wrap:ratio waiting:sessions lag:s failing:count
select u.server_id, u.instance_id, u.server, u.up, u.error, u.time, s.server_version_num, s.in_recovery, s.start_time, s.pending_restart, s.max_connections,
  d.backends, w.freeze, w.wrap, b.waiting, r.lag, f.failing
from pg_up_latest u
left join pg_server_latest s on s.instance_id = u.instance_id
left join (select instance_id, sum(numbackends) as backends from pg_stat_database_latest group by 1) d on d.instance_id = u.instance_id
left join (select instance_id, max(freeze_ratio) as freeze, max(wraparound_ratio) as wrap from pg_database_wraparound_latest group by 1) w on w.instance_id = u.instance_id
left join (select instance_id, count(*) as waiting from pg_blocking_latest group by 1) b on b.instance_id = u.instance_id
left join (select instance_id, max(replay_delay) as lag from pg_standby_latest group by 1) r on r.instance_id = u.instance_id
left join (select instance_id, count(*) as failing from agent_scrape_latest where status = 'failed' group by 1) f on f.instance_id = u.instance_id
order by u.server, u.instance_id
