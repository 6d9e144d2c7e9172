-- What agents declared lost
-- page: every page
-- kind: table
-- needs: agent_stats
-- params: from to
-- columns: collector_id time gap_first gap_last gap_reason queue_age:s
select collector_id, time, gap_first, gap_last, gap_reason, queue_age
from agent_stats where {R} and gap_first is not null
order by time limit 500
