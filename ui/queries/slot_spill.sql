-- What logical decoding wrote to disk because it did not fit into memory
-- page: wal
-- kind: series
-- needs: pg_replication_slots
-- params: server from to
-- columns: t slot_name spilled:B/s decoded:B/s
select {T} as t, slot_name, sum(spill_bytes) / {step}.0 as spilled, sum(total_bytes) / {step}.0 as decoded
from pg_replication_slots_delta where {S} and {R} and slot_type = 'logical'
group by 1, 2 order by 1
