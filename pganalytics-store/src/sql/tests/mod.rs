//! The engine as a whole: over the memory store, against a naive model, within
//! its limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod answers;
mod cuts;
mod facts;
mod fixture;
mod increases;
mod limits;
mod model;
mod narrow;
mod parts;
mod postgres;
mod random;
mod tenants;
