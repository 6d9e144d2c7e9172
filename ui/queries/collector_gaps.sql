-- What an agent declared lost
-- page: collector
-- kind: table
-- needs: agent_stats
-- params: collector from to
-- columns: time gap_first gap_last gap_reason
select distinct time, gap_first, gap_last, gap_reason
from agent_stats where collector_id = {collector} and {R} and gap_first is not null
order by time desc limit 200
