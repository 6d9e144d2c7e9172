-- Settings that changed
-- page: settings
-- kind: table
-- needs: pg_event
-- params: server from to
-- columns: time instance_id kind object old new
select time, instance_id, kind, object, old, new
from pg_event where {S} and {R} and kind in ('setting', 'setting_pending')
order by time desc limit 1000
