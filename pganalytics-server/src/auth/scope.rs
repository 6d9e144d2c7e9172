//! What a token was made for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing that a token may be used for, within what its user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// Send metrics.
    Push,
    /// Read everything that its user may read.
    Read,
    /// Change what is not users or secrets.
    Write,
    /// What only admins may do.
    Admin,
    /// Say on charts what happened, as pipelines do.
    Annotate,
}

impl Scope {
    /// All scopes.
    pub const EACH: [Self; 5] = [Self::Push, Self::Read, Self::Write, Self::Admin, Self::Annotate];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Annotate => "annotate",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Push => 1,
            Self::Read => 2,
            Self::Write => 4,
            Self::Admin => 8,
            Self::Annotate => 16,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::EACH
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a scope; there are push, read, write, admin, annotate"))
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope, as sessions of people have.
    pub const ALL: Self = Self(0b1_1111);

    /// Whether the scope is in it.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes of stored names; names that are not known give nothing.
    #[must_use]
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(|name| name.parse().ok()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}
