-- Memory of an agent, and what it keeps back
-- page: collector
-- kind: series
-- needs: agent_stats
-- params: collector from to
-- columns: t rss:B queue_bytes:B queue_age:s
select {T} as t, max(rss) as rss, max(queue_bytes) as queue_bytes, max(queue_age) as queue_age
from agent_stats where collector_id = {collector} and {R}
group by 1 order by 1
