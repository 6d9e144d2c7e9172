//! Collects what pgBackRest knows of backups: `pgbackrest info --output=json`.
//!
//! The program runs as a process of its own, with a time limit, a limit of what
//! it may say, and no environment but its own variables, `PATH` and `HOME`. It
//! only reads, and takes no lock that a backup would wait for. The configuration
//! of pgBackRest is often readable for the user `postgres` only; then the command
//! is `sudo -n -u postgres pgbackrest`.

mod collector;
mod info;
mod program;
mod settings;

pub use collector::PgBackRestCollector;
pub use settings::{PgBackRestConfig, PgBackRestSettings};
