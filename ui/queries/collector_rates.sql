-- An agent's work: processor time, bytes delivered, what failed
-- page: collector
-- kind: series
-- needs: agent_stats
-- params: collector from to
-- columns: t cpu:cores delivered:B/s failures:count dropped:frames
select {T} as t, sum(cpu) / {step}.0 as cpu, sum(delivered_bytes) / {step}.0 as delivered, sum(scrape_failures) + sum(push_failures) as failures,
  sum(dropped_frames) as dropped
from agent_stats_delta where collector_id = {collector} and {R}
group by 1 order by 1
