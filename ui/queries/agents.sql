-- Agents, their backlog and what they lost
-- page: collectors
-- kind: table
-- needs: agent_stats
-- params:
-- columns: collector_id agent version started_at rss:B queue_frames queue_bytes:B queue_age:s gap_first gap_last gap_reason time dropped
--   failures cpu:s
select s.collector_id, s.agent, s.version, s.started_at, s.rss, s.queue_frames, s.queue_bytes, s.queue_age, s.gap_first, s.gap_last, s.gap_reason,
  s.time, d.dropped, d.failures, d.cpu
from agent_stats_latest s
left join (select collector_id, sum(dropped_frames) as dropped, sum(scrape_failures) as failures, sum(cpu) as cpu
  from agent_stats_delta where time > now() - interval '1 hour' group by 1) d on d.collector_id = s.collector_id
