-- Segments that were archived and that failed
-- page: backups wal
-- kind: series
-- needs: pg_stat_archiver
-- params: server from to
-- columns: t archived:files failed:attempts
select {T} as t, sum(archived_count) as archived, sum(failed_count) as failed
from pg_stat_archiver_delta where {S} and {R}
group by 1 order by 1
