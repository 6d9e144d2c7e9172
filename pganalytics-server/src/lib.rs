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
//! let app: axum::Router = axum::Router::new().nest_service("/monitoring", server.into_service());
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! With `nest_service`, the page is at `/monitoring/`; axum's `nest` would leave
//! out the path with the slash at its end.
//!
//! [`Server::maintenance`] is the background work (compaction, retention); who
//! nests the service spawns it beside it. A server that has its own listener
//! does that by itself, and ends in order:
//!
//! ```no_run
//! # async fn run(server: pganalytics_server::Server) -> Result<(), Box<dyn std::error::Error>> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
//! server.serve(listener, stop).await?; // ends when all requests have
//! # Ok(()) }
//! ```
//!
//! # Where things are
//!
//! | part | what it is for |
//! |---|---|
//! | [`Server`], [`ServerBuilder`], [`Settings`] | making, nesting, serving |
//! | [`auth::permission`] | the one table of who may do what |
//! | [`auth::routes`] | the registry of routes, each with its permission |
//! | [`Principal`] | who makes a request |
//! | [`Admin`] | users and tokens without the API |
//! | `Server::monitor`, `LocalSink` | an agent in the same process (feature `agent`) |
//! | `config` | settings of the binary from flags, environment, file (feature `bin`) |
//!
//! `GET /api/v1/docs` of a running server browses the API; [`Server::openapi`]
//! gives the same document.
//!
//! # Features
//!
//! All are on by default; embedders take what they need with
//! `default-features = false`.
//!
//! * `bin`: what only the binary `pganalytics-server` needs.
//! * `agent`: watch PostgreSQL servers from the same process.
//! * `sqlite`: the embedded store.
//! * `front`: [`Front`], the UI in front of a server elsewhere.
//! * `tls`: HTTPS of `Server::serve_tls`.
//!
//! # What stays true
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
#[cfg(feature = "bin")]
pub mod ops;
mod peer;
mod principal;
mod prometheus;
mod proxy;
mod rate;
mod serve;
mod service;
pub mod settings;
mod state;
mod tenant;
#[cfg(feature = "tls")]
mod tls;
mod ui;

pub use admin::Admin;
pub use error::ServerError;
#[cfg(feature = "agent")]
pub use ingest::local_sink::LocalSink;
pub use principal::{Principal, PrincipalKind};
pub use proxy::{ForwardedHeader, Proxies};
pub use rate::{Class, RateLimits};
pub use serve::Listener;
pub use service::{Control, Server, ServerBuilder};
pub use settings::{ConnectionLimits, FirstAdmin, Settings};
#[cfg(feature = "tls")]
pub use tls::{ReloadableTls, TlsFiles};
#[cfg(feature = "front")]
pub use ui::front::Front;
