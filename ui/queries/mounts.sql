-- File systems of a host, and the seconds until each is full at the pace of this range
-- page: host
-- kind: table
-- needs: disk_usage
-- params: server from to
-- columns: mount device fstype role read_only size:B available:B inodes:count inodes_free:count seconds_to_full:s
select d.mount, d.device, d.fstype, d.role, d.read_only, d.size, d.available, d.inodes, d.inodes_free,
  case when f.slope < 0 then d.available / -f.slope end as seconds_to_full
from disk_usage_latest d
left join (select mount, regr_slope(available, extract(epoch from time)) as slope from disk_usage where {S} and {R} group by 1) f on f.mount = d.mount
where d.{S}
order by d.mount
