-- Who holds back the removal of dead rows
-- page: vacuum
-- kind: table
-- needs: pg_xmin_horizon
-- params: server
-- columns: kind name pid datname usename state since xmin_age:xids
select kind, name, pid, datname, usename, state, since, xmin_age
from pg_xmin_horizon_latest where {S}
order by xmin_age desc nulls last
