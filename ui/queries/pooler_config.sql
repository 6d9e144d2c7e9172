-- Settings of a pooler that are not as they come
-- page: pooler
-- kind: table
-- needs: pgbouncer_config
-- params: server
-- columns: key value default_value changeable
select key, value, default_value, changeable
from pgbouncer_config_latest where {S} and value is distinct from default_value
order by key
