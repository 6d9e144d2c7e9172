//! Entries without what people put into their databases.

use serde::{Deserialize, Serialize};

/// What of an entry's texts may leave the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Redaction {
    /// Everything.
    None,
    /// Everything but values: statements are normalised, parameters, keys and
    /// rows are left out.
    #[default]
    Literals,
    /// Only class, severity, SQLSTATE, names and numbers; no message.
    All,
}
