//! Waits for locks, and deadlocks.

use crate::logs::{
    entry::Entry,
    facts::{DeadlockMember, Facts, LockState, LockWait},
    scan::{Scan, numbers},
};

/// Processes of a deadlock that are told; no real one comes near.
const MOST_MEMBERS: usize = 100;

/// `process 42 still waiting for ShareLock on transaction 748 after 1000.123 ms`
pub(super) fn wait<'a>(entry: &Entry<'a>) -> Option<LockWait<'a>> {
    const STATES: &[(&str, LockState)] = &[
        (" still waiting for ", LockState::Waiting),
        (" acquired ", LockState::Acquired),
        (" avoided deadlock for ", LockState::Rearranged),
        (" detected deadlock while waiting for ", LockState::Deadlock),
        (" failed to acquire ", LockState::Failed),
    ];
    let mut scan = Scan(entry.message);
    scan.skip("process ")?;
    let pid = scan.number()?;
    let &(words, state) = STATES.iter().find(|(words, _)| scan.0.starts_with(words))?;
    scan.skip(words)?;
    let mode = scan.until(" on ")?;
    let (object, time) = scan.0.rsplit_once(" after ")?;
    let object = object.strip_suffix(" by rearranging queue order").unwrap_or(object);
    let wait_ms = Scan(time).number()?;
    let (holders, queue) = entry.detail.and_then(held).unwrap_or_default();
    Some(LockWait { pid, state, mode, object, wait_ms, holders, queue })
}

/// `Process holding the lock: 1. Wait queue: 2, 3.`
fn held(detail: &str) -> Option<(Vec<i32>, Vec<i32>)> {
    let mut scan = Scan(detail);
    scan.behind(" holding the lock: ")?;
    let holders = numbers(scan.until(". Wait queue: ")?);
    Some((holders, numbers(scan.0.trim_end_matches('.'))))
}

/// `Process 1 waits for ShareLock on transaction 748; blocked by process 2.` for
/// each, then `Process 1: statement`.
pub(super) fn deadlock<'a>(entry: &Entry<'a>) -> Facts<'a> {
    let Some(mut rest) = entry.detail else { return Facts::None };
    let mut members = Vec::new();
    while let Some((member, behind)) = waits(rest) {
        if members.len() < MOST_MEMBERS {
            members.push(member);
        }
        rest = behind;
    }
    for at in 0..members.len() {
        let Some(begin) = members.get(at).map(|member: &DeadlockMember<'_>| format!("Process {}: ", member.pid)) else {
            continue;
        };
        let end = members.get(at + 1).map(|next| format!("\nProcess {}: ", next.pid));
        let Some(statement) = rest.strip_prefix(&begin) else { break };
        let len = end.and_then(|end| statement.find(&end)).unwrap_or(statement.len());
        let (statement, behind) = statement.split_at(len);
        if let Some(member) = members.get_mut(at) {
            member.statement = Some(statement);
        }
        rest = behind.strip_prefix('\n').unwrap_or(behind);
    }
    Facts::Deadlock(members)
}

fn waits(text: &str) -> Option<(DeadlockMember<'_>, &str)> {
    let (line, behind) = text.split_once('\n').unwrap_or((text, ""));
    let mut scan = Scan(line);
    scan.skip("Process ")?;
    let pid = scan.number()?;
    scan.skip(" waits for ")?;
    let mode = scan.until(" on ")?;
    let object = scan.until("; blocked by process ")?;
    let blocked_by = scan.0.strip_suffix('.')?.parse().ok()?;
    Some((DeadlockMember { pid, mode, object, blocked_by, statement: None }, behind))
}
