-- The hosts that a server's instances run on
-- page: server
-- kind: fact
-- needs: pg_server pg_processes host_inventory
-- params: server
-- columns: instance_id host_id hostname cpus memory_total:B os
select s.instance_id, p.server_id as host_id, h.hostname, h.cpus, h.memory_total, h.os
from pg_server_latest s
join (select collector_id, server_id, data_directory from pg_processes_latest group by 1, 2, 3) p
  on p.collector_id = s.collector_id and p.data_directory = s.data_directory
join host_inventory_latest h on h.server_id = p.server_id
where s.{S}
order by 1, 2
