-- What the servers are that are no clusters: poolers, hosts, and those that keep backups
-- page: every page
-- kind: fact
-- needs: pgbouncer_up host_inventory pgbackrest_info
-- params:
-- columns: server_id kind
select server_id, 'pooler' as kind from pgbouncer_up_latest group by 1
union all select server_id, 'host' as kind from host_inventory_latest group by 1
union all select server_id, 'backups' as kind from pgbackrest_info_latest group by 1
