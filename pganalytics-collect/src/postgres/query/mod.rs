//! From a measurement to a batch: what is run, how rows are read, which epoch they
//! belong to, and why there is nothing when there is nothing.

pub(super) mod context;
mod decode;
pub(super) mod epochs;
pub(super) mod fault;
pub(super) mod journal;
pub(super) mod measure;
mod numeric;
pub(super) mod requirement;
mod rows;
pub(super) mod text;
