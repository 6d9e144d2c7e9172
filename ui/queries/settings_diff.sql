-- Settings that differ between two instances
-- page: settings
-- kind: table
-- needs: pg_settings
-- params: instance other
-- columns: name here there
select coalesce(a.name, b.name) as name, a.setting as here, b.setting as there
from (select name, setting from pg_settings_latest where instance_id = {instance}) a
full join (select name, setting from pg_settings_latest where instance_id = {other}) b on a.name = b.name
where a.setting is distinct from b.setting
order by 1
