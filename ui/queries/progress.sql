-- Work under way and its speed
-- page: vacuum
-- kind: table
-- needs: pg_stat_progress
-- params: server
-- columns: pid kind relation phase a_second left_to_do
select pid, kind, relation, phase, regr_slope(done, extract(epoch from time)) as a_second, max(total) - max(done) as left_to_do
from pg_stat_progress where {S} and time > now() - interval '5 minutes'
group by 1, 2, 3, 4
