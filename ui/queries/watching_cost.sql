-- Cores that watching takes
-- page: collectors
-- kind: series
-- needs: agent_cost
-- params: server from to
-- columns: t cores:cores calls:count
select {T} as t, sum(total_exec_time) / ({step} * 1000.0) as cores, sum(calls) as calls
from agent_cost_delta where {S} and {R}
group by 1 order by 1
