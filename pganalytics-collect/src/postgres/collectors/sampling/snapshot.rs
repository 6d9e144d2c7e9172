//! One look at all sessions that are not idle.
//!
//! `pg_stat_get_activity` is read without the views' joins and without the
//! texts of statements. Who blocks whom is asked only of sessions that wait for
//! a lock, and of so many at most, for each such question stops the lock manager
//! for a moment. Names come from a dictionary that is kept for a while.
//!
//! Each statement is a transaction of its own: within one, PostgreSQL shows what
//! it showed first. Behind a pooler each look is.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::profile::Key;
use crate::postgres::{
    query::{fault::QueryFault, text::Lossy},
    session::Session,
};

/// Our own session is among the rows and says how long the server worked; it is
/// not counted. Processes without a state (checkpointer, WAL writer…) wait for
/// work in events of the type Activity. Rows without a backend type are those
/// that our role may not see.
const SESSIONS: &str = "
select a.pid::int8, a.datid::int8, a.usesysid::int8, a.application_name, a.backend_type, a.state,
       a.wait_event_type, a.wait_event, a.query_id,
       case when a.pid = pg_catalog.pg_backend_pid() then
           (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.statement_timestamp()) * 1000000)::int8
       end
from pg_catalog.pg_stat_get_activity(null) a
where a.backend_type is not null and a.state is distinct from 'idle'
  and a.wait_event_type is distinct from 'Activity'";

/// Process ids of those that each of these waits for.
const BLOCKERS: &str = "
select p.pid, pg_catalog.pg_blocking_pids(p.pid::int4)::int8[],
       (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.statement_timestamp()) * 1000000)::int8
from pg_catalog.unnest($1::int8[]) p(pid)";

const DATABASES: &str = "
select d.oid::int8, d.datname::text from pg_catalog.pg_database d
where d.oid = any ($1::int8[]::oid[])";

const USERS: &str = "
select r.oid::int8, r.rolname::text from pg_catalog.pg_roles r
where r.oid = any ($1::int8[]::oid[])";

/// Waiting sessions whose blockers are asked for in one look.
const MOST_WAITING: usize = 32;

/// Sessions that are followed from a waiting one to the head of its queue.
const MOST_HOPS: usize = 32;

/// Names are learned anew after this time: they may change.
const KEEP_NAMES: Duration = Duration::from_secs(600);

/// Names of databases and users by their OIDs.
pub(super) struct Names {
    databases: HashMap<i64, Arc<str>>,
    users: HashMap<i64, Arc<str>>,
    since: Instant,
}

impl Names {
    pub(super) fn new(now: Instant) -> Self {
        Self { databases: HashMap::new(), users: HashMap::new(), since: now }
    }

    async fn learn(&mut self, session: &mut Session, found: &[Backend]) -> Result<(), QueryFault> {
        if self.since.elapsed() >= KEEP_NAMES {
            *self = Self::new(Instant::now());
        }
        learn(&mut self.databases, session, DATABASES, found.iter().map(|backend| backend.database)).await?;
        learn(&mut self.users, session, USERS, found.iter().map(|backend| backend.user)).await
    }
}

async fn learn(
    known: &mut HashMap<i64, Arc<str>>,
    session: &mut Session,
    sql: &str,
    needed: impl Iterator<Item = i64>,
) -> Result<(), QueryFault> {
    let mut unknown: Vec<i64> = needed.filter(|oid| *oid != 0 && !known.contains_key(oid)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.sort_unstable();
    unknown.dedup();
    // What has no name, since it was just dropped, is not asked for again and again.
    known.extend(unknown.iter().map(|oid| (*oid, oid.to_string().into())));
    session
        .read(sql, Some(&unknown), |row| {
            if let (Ok(oid), Ok(name)) = (row.try_get::<_, i64>(0), row.try_get::<_, Lossy>(1)) {
                known.insert(oid, name.0.into());
            }
            Ok(())
        })
        .await
}

/// A session that was found.
struct Backend {
    pid: i64,
    database: i64,
    user: i64,
    key: Key,
}

/// What one look brought.
pub(super) struct Snapshot {
    pub(super) sessions: Vec<Key>,
    /// Time that the server worked for it.
    pub(super) server_time: Duration,
}

/// Looks once.
pub(super) async fn take(session: &mut Session, names: &mut Names) -> Result<Snapshot, QueryFault> {
    session.begin().await?;
    let taken = take_in(session, names).await;
    session.end().await?;
    taken
}

async fn take_in(session: &mut Session, names: &mut Names) -> Result<Snapshot, QueryFault> {
    let mut found = Vec::new();
    let mut own = None;
    session
        .read(SESSIONS, None, |row| {
            let misfit = |error: tokio_postgres::Error| QueryFault::from(&error);
            if let Some(micros) = row.try_get::<_, Option<i64>>(9).map_err(misfit)? {
                own = Some(micros);
                return Ok(());
            }
            let number = |at| row.try_get::<_, Option<i64>>(at).map_err(misfit);
            let text = |at| row.try_get::<_, Lossy>(at).map(|text| text.0).map_err(misfit);
            let key = Key {
                application_name: text(3)?.into(),
                backend_type: text(4)?.into(),
                state: text(5)?.into(),
                wait_event_type: text(6)?.into(),
                wait_event: text(7)?.into(),
                // 0: none was computed.
                query_id: number(8)?.filter(|id| *id != 0),
                ..Key::default()
            };
            let (database, user) = (number(1)?.unwrap_or_default(), number(2)?.unwrap_or_default());
            found.push(Backend { pid: number(0)?.unwrap_or_default(), database, user, key });
            Ok(())
        })
        .await?;
    let mut server_time = micros(own.unwrap_or_default());
    names.learn(session, &found).await?;
    for backend in &mut found {
        let name = |names: &HashMap<i64, Arc<str>>, oid| names.get(&oid).cloned().unwrap_or_default();
        backend.key.datname = name(&names.databases, backend.database);
        backend.key.usename = name(&names.users, backend.user);
    }
    let waiting: Vec<i64> = found
        .iter()
        .filter(|backend| &*backend.key.wait_event_type == "Lock")
        .map(|backend| backend.pid)
        .take(MOST_WAITING)
        .collect();
    if !waiting.is_empty() {
        server_time += name_blockers(session, &mut found, &waiting).await?;
    }
    Ok(Snapshot { sessions: found.into_iter().map(|backend| backend.key).collect(), server_time })
}

async fn name_blockers(session: &mut Session, found: &mut [Backend], waiting: &[i64]) -> Result<Duration, QueryFault> {
    let mut blocked_by = HashMap::new();
    let mut worked = 0;
    session
        .read(BLOCKERS, Some(waiting), |row| {
            if let (Ok(pid), Ok(blockers)) = (row.try_get::<_, i64>(0), row.try_get::<_, Vec<i64>>(1)) {
                blocked_by.insert(pid, blockers);
            }
            worked = row.try_get::<_, i64>(2).unwrap_or_default().max(worked);
            Ok(())
        })
        .await?;
    let heads: Vec<_> = waiting.iter().map(|pid| (*pid, head_of_queue(*pid, &blocked_by))).collect();
    for (pid, head) in heads {
        let (state, query_id) = match head {
            None => continue,
            Some(0) => ("prepared transaction".into(), None),
            Some(head) => match found.iter().find(|backend| backend.pid == head) {
                Some(backend) => (backend.key.state.clone(), backend.key.query_id),
                // It came or went between the two questions.
                None => continue,
            },
        };
        if let Some(backend) = found.iter_mut().find(|backend| backend.pid == pid) {
            (backend.key.blocker_state, backend.key.blocker_query_id) = (state, query_id);
        }
    }
    Ok(micros(worked))
}

/// The session that all wait for, from one to the next; 0 for a prepared
/// transaction. `None`: it does not wait any more.
fn head_of_queue(pid: i64, blocked_by: &HashMap<i64, Vec<i64>>) -> Option<i64> {
    let mut head = None;
    let mut at = pid;
    // A deadlock is a circle.
    for _ in 0..MOST_HOPS {
        let Some(next) = blocked_by.get(&at).and_then(|blockers| blockers.first()) else { break };
        (head, at) = (Some(*next), *next);
    }
    head
}

fn micros(count: i64) -> Duration {
    Duration::from_micros(u64::try_from(count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_followed_to_their_head() {
        let waits =
            HashMap::from([(4, vec![3]), (3, vec![2, 1]), (2, vec![1]), (9, vec![0]), (7, vec![8]), (8, vec![7])]);
        assert_eq!(head_of_queue(4, &waits), Some(1));
        assert_eq!(head_of_queue(3, &waits), Some(1));
        assert_eq!(head_of_queue(1, &waits), None);
        assert_eq!(head_of_queue(9, &waits), Some(0), "a prepared transaction");
        assert!(head_of_queue(7, &waits).is_some(), "a circle has an end");
    }
}
