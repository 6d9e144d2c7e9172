-- Network of a host
-- page: host
-- kind: series
-- needs: sysstat_net
-- params: server from to
-- columns: t device received:B/s sent:B/s errors:count
select {T} as t, interface as device, sum(rx_bytes) / {step}.0 as received, sum(tx_bytes) / {step}.0 as sent, sum(rx_errors + tx_errors) as errors
from sysstat_net_delta where {S} and {R}
group by 1, 2 order by 1
