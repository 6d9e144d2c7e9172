//! Where a server on the agent's host keeps what, for figures of the host.

use std::{path::PathBuf, time::Duration};

use tokio::time::Instant;

use crate::{
    host::{Folders, ServerFolders},
    postgres::{
        query::{context::ServerContext, text::Lossy},
        session::Session,
        settings::Host,
    },
};

/// How often it is asked.
const PAUSE: Duration = Duration::from_secs(3600);

/// The first row is the data directory; others are relative to it.
const FOLDERS: &str = "
select 'data', pg_catalog.current_setting('data_directory')
union all
select 'log', pg_catalog.current_setting('log_directory')
where pg_catalog.current_setting('logging_collector') = 'on'
union all
(select 'tablespace', pg_catalog.pg_tablespace_location(oid)
 from pg_catalog.pg_tablespace where oid not in (1663, 1664) limit 1000)";

/// Tells where the server keeps what, now and then.
#[derive(Debug)]
pub(crate) struct FolderReporter {
    folders: Folders,
    reported: Option<Instant>,
}

impl FolderReporter {
    pub(crate) fn new(folders: Folders) -> Self {
        Self { folders, reported: None }
    }

    /// Asks the server, if it is on this host and it is time.
    pub(crate) async fn report(&mut self, session: &mut Session, context: &ServerContext) {
        let is_time = self.reported.is_none_or(|reported| reported.elapsed() >= PAUSE);
        if !is_time || !context.config.hosts.iter().any(Host::is_local) {
            return;
        }
        self.reported = Some(Instant::now());
        let mut found: Vec<(String, PathBuf)> = Vec::new();
        let read = session.read(FOLDERS, None, |row| {
            if let (Ok(role), Ok(path)) = (row.try_get::<_, Lossy>(0), row.try_get::<_, Lossy>(1)) {
                found.push((role.0, path.0.into()));
            }
            Ok(())
        });
        if let Err(fault) = read.await {
            // Roles of mounts are then known as far as files tell.
            tracing::debug!(server = %context.config.name, %fault, "the server does not say where its folders are");
            return;
        }
        let mut reported = ServerFolders::default();
        for (role, path) in found {
            match role.as_str() {
                "data" => reported.data = path,
                "log" => reported.others.push((path, "log")),
                _ => reported.others.push((path, "tablespace")),
            }
        }
        self.folders.report(&context.config.name, reported);
    }
}
