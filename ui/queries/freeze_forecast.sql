-- How fast databases come near freezing
-- page: vacuum
-- kind: table
-- needs: pg_database_wraparound
-- params: server from to
-- columns: datname ratio:ratio ratio_a_day:1/d
select datname, max(freeze_ratio) as ratio, regr_slope(freeze_ratio, extract(epoch from time)) * 86400 as ratio_a_day
from pg_database_wraparound where {S} and {R}
group by 1 order by ratio desc
