-- What the agent says of each measurement at each of its sources
-- page: every page
-- kind: fact
-- needs: agent_scrape
-- params: server
-- columns: measurement instance_id database_name status error time
select measurement, instance_id, database_name, status, error, time
from agent_scrape_latest where {S}
order by measurement, database_name
