//! Ids. Each kind has its own type, so that one can't be passed for another.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::ModelError;

/// Ids that people choose (`col_demo_001`) become UUIDs in this namespace.
const HUMAN_IDS: Uuid = Uuid::from_u128(0x5b0c_9f7e_2a54_4c0e_9a3d_6f1d_70a0_11f2);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// A fresh random id.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ModelError;

            fn from_str(text: &str) -> Result<Self, ModelError> {
                Uuid::parse_str(text).map(Self).map_err(|_| ModelError::BadId(text.chars().take(80).collect()))
            }
        }
    };
}

uuid_id! {
    /// A registered agent.
    CollectorId
}
uuid_id! {
    /// A stream: one spool's sequence of frames.
    StreamId
}
uuid_id! {
    /// A PostgreSQL cluster (the same before and after a failover), or a host.
    ServerId
}
uuid_id! {
    /// One member of a cluster: primary or a standby, at its address.
    InstanceId
}
uuid_id! {
    /// A tenant. Every stored row carries one.
    TenantId
}

impl StreamId {
    /// The stream of what a collector sends without numbers, as JSON.
    #[must_use]
    pub fn of_unnumbered(collector: CollectorId) -> Self {
        Self(Uuid::new_v5(&collector.as_uuid(), b"unnumbered"))
    }
}

impl TenantId {
    /// The tenant of installations that have only one.
    pub const DEFAULT: Self = Self(Uuid::from_u128(1));
}

impl CollectorId {
    /// The id for text that people wrote: a UUID stays itself, any other id
    /// (`col_demo_001`) maps to one UUID, always the same.
    ///
    /// # Errors
    /// [`ModelError::BadId`] when the text is empty, longer than 128 characters
    /// or holds anything but letters, digits and `_ . : -`.
    ///
    /// ```
    /// use pganalytics_core::CollectorId;
    /// let a = CollectorId::from_human("col_demo_001").unwrap();
    /// assert_eq!(a, CollectorId::from_human("col_demo_001").unwrap());
    /// assert!(CollectorId::from_human("no spaces").is_err());
    /// ```
    pub fn from_human(text: &str) -> Result<Self, ModelError> {
        if let Ok(id) = Uuid::parse_str(text) {
            return Ok(Self(id));
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
        if text.is_empty() || text.len() > 128 || !text.bytes().all(good) {
            return Err(ModelError::BadId(text.chars().take(80).collect()));
        }
        Ok(Self(Uuid::new_v5(&HUMAN_IDS, text.as_bytes())))
    }
}

impl ServerId {
    /// The id of the cluster with this `system_identifier`: the same for a
    /// primary and its standbys, before and after a failover.
    #[must_use]
    pub fn of_cluster(system_identifier: i64) -> Self {
        Self(Uuid::new_v5(&HUMAN_IDS, format!("cluster:{system_identifier}").as_bytes()))
    }

    /// The id of a host, from its machine id (or its name where it has none).
    #[must_use]
    pub fn of_host(machine_id: &str) -> Self {
        Self(Uuid::new_v5(&HUMAN_IDS, format!("host:{machine_id}").as_bytes()))
    }
}

impl InstanceId {
    /// The id of a cluster's member at an address (`host:port`).
    #[must_use]
    pub fn of_address(server: ServerId, address: &str) -> Self {
        Self(Uuid::new_v5(&server.as_uuid(), address.as_bytes()))
    }
}

/// Position of a frame in its stream: 1, 2, 3 …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// Name of a measurement: a lower-case identifier of at most 63 characters,
/// which is also the name of its SQL table.
///
/// ```
/// use pganalytics_core::MeasurementName;
/// assert!(MeasurementName::new("pg_stat_database").is_ok());
/// assert!(MeasurementName::new("Robert'); drop").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MeasurementName(Arc<str>);

impl MeasurementName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`ModelError::BadName`] when it is no lower-case identifier.
    pub fn new(name: &str) -> Result<Self, ModelError> {
        check_identifier("measurement", name)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for MeasurementName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for MeasurementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MeasurementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The rule for names of measurements and columns. Names become SQL
/// identifiers, so nothing that needs quoting gets through.
pub(crate) fn check_identifier(what: &'static str, name: &str) -> Result<(), ModelError> {
    let bad = |rule| Err(ModelError::BadName { what, name: name.chars().take(80).collect(), rule });
    if !matches!(name.bytes().next(), Some(b'a'..=b'z' | b'_')) {
        return bad("it must begin with a lower-case letter or _");
    }
    if name.len() > 63 {
        return bad("it must have at most 63 characters");
    }
    if !name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        return bad("it may hold only a-z, 0-9 and _");
    }
    Ok(())
}
