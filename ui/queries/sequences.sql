-- Sequences of a database, those that are nearest to their end first
-- page: database
-- kind: table
-- needs: pg_sequences pg_server
-- params: server datname
-- columns: schemaname sequencename data_type column_name last_value:values values_left:values used_ratio:ratio
select q.schemaname, q.sequencename, q.data_type, q.column_name, q.last_value, q.values_left, q.used_ratio
from pg_sequences_latest q
join pg_server_latest p on p.instance_id = q.instance_id and not p.in_recovery
where q.{S} and q.database_name = {datname} and q.can_run_out
order by q.used_ratio desc nulls last limit 50
