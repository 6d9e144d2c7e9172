-- Processors of a host: shares of their time, and what stalled
-- page: host
-- kind: series
-- needs: sysstat
-- params: server from to
-- columns: t usr:ratio sys:ratio iowait:ratio steal:ratio load:count cpus:count io_stalled:ratio memory_stalled:ratio kills:count
select {T} as t,
  sum(cpu_user + cpu_nice) / nullif(sum(cpu_user + cpu_nice + cpu_system + cpu_idle + cpu_iowait + cpu_irq + cpu_softirq + cpu_steal), 0) as usr,
  sum(cpu_system + cpu_irq + cpu_softirq) / nullif(sum(cpu_user + cpu_nice + cpu_system + cpu_idle + cpu_iowait + cpu_irq + cpu_softirq + cpu_steal), 0) as sys,
  sum(cpu_iowait) / nullif(sum(cpu_user + cpu_nice + cpu_system + cpu_idle + cpu_iowait + cpu_irq + cpu_softirq + cpu_steal), 0) as iowait,
  sum(cpu_steal) / nullif(sum(cpu_user + cpu_nice + cpu_system + cpu_idle + cpu_iowait + cpu_irq + cpu_softirq + cpu_steal), 0) as steal,
  avg(load1) as load, max(cpus) as cpus, sum(psi_io_full) / {step}.0 as io_stalled, sum(psi_memory_full) / {step}.0 as memory_stalled,
  sum(oom_kill) as kills
from sysstat_delta where {S} and {R}
group by 1 order by 1
