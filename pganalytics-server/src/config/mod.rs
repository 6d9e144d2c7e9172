//! Settings of the binary: flag over environment over file over default.
//!
//! [`keys`] has every setting in one table; [`read`] gathers the values and
//! remembers where each came from; [`build`] checks them and makes a [`Config`].

pub mod build;
pub mod keys;
pub mod read;
mod secret_file;
#[cfg(test)]
mod tests;

pub use build::{Config, Environment, UiListen};
pub use keys::{KEYS, Key};
pub use read::{Gathered, Origin};
