-- Begins of the texts of statements, to name them by
-- page: waits
-- kind: fact
-- needs: pg_query_text
-- params: server
-- columns: queryid query
select cast(queryid as text) as queryid, left(max(query), 200) as query
from pg_query_text_latest where {S}
group by queryid limit 5000
