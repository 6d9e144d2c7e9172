-- Disks of a host
-- page: host
-- kind: series
-- needs: sysstat_disk
-- params: server from to
-- columns: t device util:ratio read_ms:ms write_ms:ms queue:count
select {T} as t, device, sum(io_time) / {step}.0 as util, sum(read_time) * 1000 / nullif(sum(reads), 0) as read_ms,
  sum(write_time) * 1000 / nullif(sum(writes), 0) as write_ms, sum(weighted_io_time) / {step}.0 as queue
from sysstat_disk_delta where {S} and {R}
group by 1, 2 order by 1
