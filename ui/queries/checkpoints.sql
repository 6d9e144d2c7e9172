-- Checkpoints, from the log
-- page: replication
-- kind: table
-- needs: pg_log_checkpoint
-- params: server from to
-- columns: time reason buffers_written write_time:s sync_time:s longest_sync:s distance:B estimate:B
select time, reason, buffers_written, write_time, sync_time, longest_sync, distance, estimate
from pg_log_checkpoint where {S} and {R}
order by time
