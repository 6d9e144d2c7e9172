-- What a host is
-- page: host
-- kind: fact
-- needs: host_inventory
-- params: server
-- columns: hostname os kernel virtualization cpu_model cpus cores memory_total:B swap_total:B transparent_huge_pages overcommit_memory swappiness
--   data_filesystem boot_time
select hostname, os, kernel, virtualization, cpu_model, cpus, cores, memory_total, swap_total, transparent_huge_pages, overcommit_memory, swappiness,
  data_filesystem, boot_time
from host_inventory_latest where {S}
order by hostname
