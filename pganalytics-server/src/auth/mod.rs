//! Who comes in, and what for.

pub(crate) mod access_token;
pub(crate) mod api_token;
pub(crate) mod authenticate;
pub(crate) mod common_passwords;
pub(crate) mod cookie;
pub(crate) mod device;
pub(crate) mod guard;
pub mod key_store;
pub(crate) mod lockout;
pub(crate) mod password;
pub mod permission;
pub(crate) mod random;
pub mod routes;
pub mod scope;
pub(crate) mod session;
pub(crate) mod token_keys;
