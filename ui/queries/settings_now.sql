-- Settings of an instance
-- page: settings
-- kind: table
-- needs: pg_settings
-- params: instance
-- columns: name setting unit category context source boot_val pending_restart hidden vartype
select name, setting, unit, category, context, source, boot_val, pending_restart, hidden, vartype
from pg_settings_latest where instance_id = {instance}
order by name
