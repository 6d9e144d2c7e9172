-- Extensions of a database, and whether there is a newer version to update to
-- page: database
-- kind: table
-- needs: pg_extension pg_server
-- params: server datname
-- columns: extname schemaname extversion latest_version update_available
select e.extname, e.schemaname, e.extversion, e.latest_version, e.update_available
from pg_extension_latest e
join pg_server_latest p on p.instance_id = e.instance_id and not p.in_recovery
where e.{S} and e.database_name = {datname}
order by e.extname
