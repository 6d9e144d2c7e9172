-- Clients of a pooler by application
-- page: pooler
-- kind: table
-- needs: pgbouncer_clients
-- params: server
-- columns: database user application_name state connections:count max_wait:s tls_connections:count
select database, "user", application_name, state, connections, max_wait, tls_connections
from pgbouncer_clients_latest where {S}
order by connections desc, database, "user" limit 2000
