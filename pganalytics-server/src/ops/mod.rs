//! What people who run the program need beside it: health checks, secrets and
//! certificates that are made for them, backups, and a look at whether all is as
//! it should be.

pub mod audit;
pub mod backup;
pub mod certs;
pub mod doctor;
pub mod local;
pub mod private_file;
pub mod secrets;
