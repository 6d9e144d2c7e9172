//! What collects from a server, each with a rhythm of its own: what the cluster has
//! once, what each database has, samples of what sessions do, the log.

mod catalog_watch;
pub(super) mod cluster;
pub(super) mod cluster_database;
pub(super) mod databases;
pub(super) mod discover;
pub(super) mod events;
pub(super) mod folder_reporter;
mod followed_keys;
pub(super) mod sampling;
pub(super) mod server_log;
