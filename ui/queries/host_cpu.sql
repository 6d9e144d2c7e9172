-- Processors of a host
-- page: host
-- kind: series
-- needs: sysstat
-- params: server from to
-- columns: t usr:ratio io_stalled:ratio kills:count
select {T} as t,
  sum(cpu_user + cpu_nice) / nullif(sum(cpu_user + cpu_nice + cpu_system + cpu_idle + cpu_iowait + cpu_irq + cpu_softirq + cpu_steal), 0) as usr,
  sum(psi_io_full) / {step}.0 as io_stalled, sum(oom_kill) as kills
from sysstat_delta where {S} and {R}
group by 1 order by 1
