-- Bytes that each replica is behind
-- page: replication
-- kind: series
-- needs: pg_stat_replication
-- params: server from to
-- columns: t application_name mean:B low:B high:B
select t, application_name, avg(b) as mean, min(b) as low, max(b) as high
from (select {T} as t, application_name, replay_lag_bytes as b from pg_stat_replication where {S} and {R}) x
group by 1, 2 order by 1
