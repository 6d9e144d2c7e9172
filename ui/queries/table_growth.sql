-- Size of a table by part
-- page: table
-- kind: series
-- needs: pg_table_size
-- params: server from to datname relid
-- columns: t heap:B toast:B indexes:B
select {T} as t, max(heap_size) as heap, max(toast_size) as toast, max(index_size) as indexes
from pg_table_size where {S} and {R} and database_name = {datname} and relid = cast({relid} as bigint)
group by 1 order by 1
