-- Subscriptions, how late their last message is, and their errors in this range
-- page: replication
-- kind: table
-- needs: pg_stat_subscription pg_stat_subscription_stats
-- params: server from to
-- columns: subname datname worker_type enabled slot_name last_msg_age:s apply_errors:count sync_errors:count conflicts:count
select s.subname, s.datname, s.worker_type, s.enabled, s.slot_name, s.last_msg_age, e.apply_errors, e.sync_errors, e.conflicts
from pg_stat_subscription_latest s
left join (select instance_id, subid, sum(apply_error_count) as apply_errors, sum(sync_error_count) as sync_errors,
    sum(coalesce(confl_insert_exists, 0) + coalesce(confl_update_origin_differs, 0) + coalesce(confl_update_exists, 0)
      + coalesce(confl_update_missing, 0) + coalesce(confl_delete_origin_differs, 0) + coalesce(confl_delete_missing, 0)) as conflicts
  from pg_stat_subscription_stats_delta where {S} and {R} group by 1, 2) e on e.instance_id = s.instance_id and e.subid = s.subid
where s.{S}
order by s.subname, s.worker_type
