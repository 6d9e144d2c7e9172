-- Size of a database on its primary
-- page: database
-- kind: series
-- needs: pg_database_size
-- params: server from to datname
-- columns: t size:B
select {T} as t, max(size) as size
from pg_database_size where {S} and {R} and datname = {datname}
group by 1 order by 1
