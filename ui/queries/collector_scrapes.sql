-- What an agent says of each measurement: how it went, what it cost
-- page: collector
-- kind: table
-- needs: agent_scrape
-- params: collector
-- columns: server_id server database_name measurement status error duration_ms:ms sql_ms:ms rows:rows replaced:values time
select server_id, server, database_name, measurement, status, error, duration_ms, sql_ms, rows, replaced, time
from agent_scrape_latest where collector_id = {collector}
order by status, measurement limit 5000
