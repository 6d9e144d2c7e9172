//! The pgAnalytics server as a tower service: ingest, query, REST API and page.
//!
//! A [`Server`] is made of two stores and some [`Settings`]. It is a service
//! that another axum or hyper application can nest under any path, or that
//! serves a listener itself:
//!
//! ```
//! use std::sync::Arc;
//! use pganalytics_server::{FirstAdmin, Server, Settings};
//! use pganalytics_store::{memory::MemoryStore, sql::EngineOptions};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new(EngineOptions::default())?);
//! let mut settings = Settings::default();
//! settings.first_admin = FirstAdmin::Setup;
//! let server = Server::builder()
//!     .metric_store(store.clone())
//!     .meta_store(store)
//!     .settings(settings)
//!     .build()
//!     .await?;
//!
//! let app: axum::Router = axum::Router::new().nest("/monitoring", server.into_service());
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! What must stay true:
//!
//! * A route without a [`Permission`](auth::permission::Permission) does not
//!   compile; no handler runs before its guard.
//! * Whoever asks sees and writes rows of the own tenant only.
//! * Frames that are answered "accepted" are durable.
//! * Memory is bounded whatever comes in: bodies, headers, connections, queries.

mod admin;
mod api;
pub mod auth;
mod background;
#[cfg(feature = "bin")]
pub mod config;
mod edge;
pub mod error;
mod extract;
mod ingest;
#[cfg(feature = "agent")]
mod monitor;
mod peer;
mod principal;
mod prometheus;
mod rate;
mod serve;
mod service;
pub mod settings;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod ui;

pub use admin::Admin;
pub use error::ServerError;
#[cfg(feature = "agent")]
pub use ingest::local_sink::LocalSink;
pub use principal::{Principal, PrincipalKind};
pub use rate::{Class, RateLimits};
pub use service::{Server, ServerBuilder};
pub use settings::{FirstAdmin, Settings};
#[cfg(feature = "tls")]
pub use tls::TlsFiles;
