-- A database: what it is, its size, its age
-- page: database
-- kind: table
-- needs: pg_database pg_database_size pg_database_wraparound pg_stat_database pg_server
-- params: server datname
-- columns: instance_id server in_recovery owner encoding datcollate locale_provider collation_version collation_actual_version datconnlimit:count
--   invalid size:B freeze_ratio:ratio wraparound_ratio:ratio datfrozenxid_age:transactions numbackends:count checksum_failures:count stats_reset
select s.instance_id, s.server, s.in_recovery, d.owner, d.encoding, d.datcollate, d.locale_provider, d.collation_version, d.collation_actual_version,
  d.datconnlimit, d.invalid, z.size, w.freeze_ratio, w.wraparound_ratio, w.datfrozenxid_age, x.numbackends, x.checksum_failures, x.stats_reset
from pg_server_latest s
join pg_stat_database_latest x on x.instance_id = s.instance_id and x.datname = {datname}
left join pg_database_latest d on d.instance_id = s.instance_id and d.datname = x.datname
left join pg_database_size_latest z on z.instance_id = s.instance_id and z.datname = x.datname
left join pg_database_wraparound_latest w on w.instance_id = s.instance_id and w.datname = x.datname
where s.{S}
order by s.in_recovery, s.server
