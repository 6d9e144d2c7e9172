-- A pooler: whether it answers, its version, its clients and servers against their limits
-- page: pooler
-- kind: table
-- needs: pgbouncer_up pgbouncer_config pgbouncer_lists
-- params: server
-- columns: server up error version connect_ms:ms time max_client_conn default_pool_size pool_mode clients:count servers:count
select u.server, u.up, u.error, u.version, u.connect_ms, u.time, c.max_client_conn, c.default_pool_size, c.pool_mode, l.clients, l.servers
from pgbouncer_up_latest u
left join (select instance_id, max(case when key = 'max_client_conn' then value end) as max_client_conn,
    max(case when key = 'default_pool_size' then value end) as default_pool_size, max(case when key = 'pool_mode' then value end) as pool_mode
  from pgbouncer_config_latest where {S} group by 1) c on c.instance_id = u.instance_id
left join (select instance_id, sum(case when list = 'used_clients' then items end) as clients,
    sum(case when list = 'used_servers' then items end) as servers
  from pgbouncer_lists_latest where {S} group by 1) l on l.instance_id = u.instance_id
where u.{S}
