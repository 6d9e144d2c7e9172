//! The database where cluster-wide views are read: `pg_stat_statements` is the
//! same in all, but created in some, and turns all texts into the encoding of the
//! database that asks. Only UTF8 takes them all.

use std::sync::Arc;

use pganalytics_core::catalog::Measurement;
use tokio::time::Instant;

use super::discover;
use crate::postgres::{
    query::{
        context::ServerContext,
        fault::QueryFault,
        measure::{STATEMENTS, needed},
    },
    session::{Session, pool::SessionPool},
};

/// Databases that a search looks into at most.
const SEARCHED: usize = 50;

/// The extensions that these measurements need and that can be anywhere.
pub(crate) fn wanted<'m>(due: &'m [Arc<Measurement>], session: &Session) -> Vec<&'m str> {
    let loaded = session.facts.statements_loaded;
    needed(due, session.facts.version).into_iter().filter(|name| *name != STATEMENTS || loaded).collect()
}

/// How well a database serves for cluster-wide views; more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fit {
    extensions: usize,
    /// Texts of statements from every database can be read there.
    all_texts: bool,
}

impl Fit {
    /// Of the database of a session.
    pub(crate) async fn of(session: &mut Session, wanted: &[&str]) -> Result<Self, QueryFault> {
        let extensions = session.extensions(wanted).await?.len();
        let all_texts = session.facts.encoding.is_utf8 || !wanted.contains(&STATEMENTS);
        Ok(Self { extensions, all_texts })
    }

    /// No other database can be better.
    pub(crate) fn is_best(self, wanted: &[&str]) -> bool {
        self >= Self { extensions: wanted.len(), all_texts: true }
    }
}

/// The database that serves best; the session's own, unless another is better.
pub(crate) async fn search(
    context: &ServerContext,
    pool: &SessionPool,
    mut session: Session,
    wanted: &[&str],
    fit: Fit,
    deadline: Instant,
) -> Arc<str> {
    let mut best = (fit, Arc::clone(&session.database));
    let others = discover::databases(&mut session, &context.config).await;
    pool.put_back(session);
    let Ok((others, _)) = others else { return best.1 };
    let home = Arc::clone(&best.1);
    for database in others.into_iter().filter(|name| *name != home).take(SEARCHED) {
        if Instant::now() >= deadline || best.0.is_best(wanted) {
            break;
        }
        let Ok((mut session, _)) = pool.open(&database, deadline).await else { continue };
        if let Ok(fit) = Fit::of(&mut session, wanted).await
            && fit > best.0
        {
            best = (fit, database);
        }
        pool.put_back(session);
    }
    best.1
}
