-- WAL that slots keep
-- page: wal
-- kind: series
-- needs: pg_replication_slots
-- params: server from to
-- columns: t slot_name kept:B
select {T} as t, slot_name, max(retained_bytes) as kept
from pg_replication_slots where {S} and {R}
group by 1, 2 order by 1
