//! The limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the store, logs and the like need beside connections.
const APART: u64 = 512;

/// Many systems give a program 1024 open files until it asks for more: then it
/// would run out of them before it has as many connections as it may have.
pub(crate) fn allow(connections: usize) {
    let needed = (connections as u64).saturating_add(APART);
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < needed) else { return };
    let most = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).is_ok();
    let have = if raised { most } else { current };
    if have < needed {
        tracing::warn!(
            "{have} files may be open at once, and {connections} connections need {needed}: \
             raise the limit (LimitNOFILE=, ulimit -n), or lower PGANALYTICS_MAX_CONNECTIONS"
        );
    }
}
