-- Runs of autovacuum on a table, from the log
-- page: table
-- kind: table
-- needs: pg_log_autovacuum
-- params: server from to datname schemaname relname
-- columns: time command elapsed:s tuples_removed:rows tuples_dead:rows removable_cutoff_age:transactions index_scans:count wal_bytes:B
select time, command, elapsed, tuples_removed, tuples_dead, removable_cutoff_age, index_scans, wal_bytes
from pg_log_autovacuum where {S} and {R} and datname = {datname} and schemaname = {schemaname} and relname = {relname}
order by time desc limit 200
