-- How far standbys are behind in time
-- page: replication
-- kind: series
-- needs: pg_standby
-- params: server from to
-- columns: t server mean:s high:s
select {T} as t, server, avg(replay_delay) as mean, max(replay_delay) as high
from pg_standby where {S} and {R}
group by 1, 2 order by 1
