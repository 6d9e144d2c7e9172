//! The database where cluster-wide views are read: `pg_stat_statements` is the
//! same in all, but created in some.

use std::sync::Arc;

use pganalytics_core::catalog::Measurement;
use tokio::time::Instant;

use super::{
    discover,
    keeper::Keeper,
    measure::{STATEMENTS, needed},
    session::Session,
    visit::Shared,
};

/// Databases that a search looks into at most.
const SEARCHED: usize = 50;

/// The extensions that these measurements need and that can be anywhere.
pub(super) fn wanted<'m>(due: &'m [Arc<Measurement>], session: &Session) -> Vec<&'m str> {
    let loaded = session.facts.statements_loaded;
    needed(due, session.facts.version).into_iter().filter(|name| *name != STATEMENTS || loaded).collect()
}

/// The database that has most of these extensions; the session's own, which has
/// `found` of them, unless another has more.
pub(super) async fn search(
    shared: &Shared,
    keeper: &Keeper,
    mut session: Session,
    wanted: &[&str],
    found: usize,
    deadline: Instant,
) -> Arc<str> {
    let mut best = (found, Arc::clone(&session.database));
    let others = discover::databases(&mut session, &shared.config).await;
    keeper.put_back(session);
    let Ok((others, _)) = others else { return best.1 };
    let home = Arc::clone(&best.1);
    for database in others.into_iter().filter(|name| *name != home).take(SEARCHED) {
        if Instant::now() >= deadline || best.0 == wanted.len() {
            break;
        }
        let Ok((mut session, _)) = keeper.open(&database, deadline).await else { continue };
        if let Ok(extensions) = session.extensions(wanted).await
            && extensions.len() > best.0
        {
            best = (extensions.len(), database);
        }
        keeper.put_back(session);
    }
    best.1
}
