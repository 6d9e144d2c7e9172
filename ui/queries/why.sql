-- What the agent says of each measurement of a server, over all its sources
-- page: every page
-- kind: fact
-- needs: agent_scrape
-- params: server
-- columns: measurement status error sources:count time
select measurement, status, max(error) as error, count(*) as sources, max(time) as time
from agent_scrape_latest where {S}
group by 1, 2 order by 1, 2
