-- The host that an instance runs on
-- page: server
-- kind: fact
-- needs: pg_server pg_processes
-- params:
-- columns: instance_id host_id
select s.instance_id, p.server_id as host_id
from pg_server_latest s
join pg_processes_latest p on p.collector_id = s.collector_id and p.data_directory = s.data_directory
group by 1, 2
