-- Sampled time by every dimension
-- page: waits
-- kind: series
-- needs: pg_wait_sampling
-- params: server from to
-- columns: t datname usename application_name backend_type wait_class wait_event query_id s:s
select {T} as t, datname, usename, application_name, backend_type, coalesce(nullif(wait_event_type, ''), 'CPU') as wait_class, wait_event,
  cast(query_id as text) as query_id, sum(sampled_time) as s
from pg_wait_sampling_delta where {S} and state = 'active' and {R}
group by 1, 2, 3, 4, 5, 6, 7, 8
