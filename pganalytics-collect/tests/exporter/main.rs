//! The exporter on real clusters: names, types, labels, values, load, limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod catalog;
mod exposition;
mod fixture;
mod http;
mod lists;
mod load;
mod names;
mod pgbouncer;
mod reference;
mod rules;
