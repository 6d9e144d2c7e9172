-- Size of pg_wal and segments that wait for the archiver
-- page: wal backups
-- kind: series
-- needs: pg_wal
-- params: server from to
-- columns: t server size:B waiting:files
select {T} as t, server, max(segments_size) as size, max(archive_ready) as waiting
from pg_wal where {S} and {R}
group by 1, 2 order by 1
