//! Lines of a jsonlog.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{
    entry::{Entry, SqlState},
    severity_words::severity,
    zone::TimeReader,
};

/// A string, or a number as it is written.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Number(i64),
}

impl Scalar<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text).filter(|text| !text.is_empty()).map(|text| &**text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::None => None,
        }
    }

    fn small(&self) -> Option<i32> {
        self.number().and_then(|number| number.try_into().ok())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(number).map_or(Scalar::None, Scalar::Number))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Scalar::None)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Scalar::None)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::None)
            }

            /// journald writes what is not text as numbers of its bytes.
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element::<u8>()? {
                    bytes.push(byte);
                }
                Ok(Scalar::Text(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

macro_rules! line {
    ($($field:ident)*) => {
        /// What PostgreSQL writes.
        #[derive(Debug, Default)]
        pub(super) struct JsonLine<'a> {
            $($field: Scalar<'a>,)*
            location: Option<String>,
        }

        impl<'de> Deserialize<'de> for JsonLine<'de> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct LineVisitor;

                impl<'de> Visitor<'de> for LineVisitor {
                    type Value = JsonLine<'de>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut line = JsonLine::default();
                        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                            match &*key {
                                $(stringify!($field) => line.$field = map.next_value()?,)*
                                _ => drop(map.next_value::<IgnoredAny>()?),
                            }
                        }
                        Ok(line)
                    }
                }

                deserializer.deserialize_map(LineVisitor)
            }
        }
    };
}

line! {
    timestamp user dbname pid remote_host remote_port session_id line_num ps session_start vxid txid
    error_severity state_code message detail hint internal_query internal_position context statement
    cursor_position func_name file_name file_line_num application_name backend_type leader_pid query_id
}

impl<'a> JsonLine<'a> {
    /// Closes a line that was cut, most likely within a string.
    pub(super) fn closed(text: &str) -> String {
        // An escape has 6 bytes at most, or 12 for a pair.
        let tail = text.floor_char_boundary(text.len().saturating_sub(12));
        let whole = match text.get(tail..).and_then(|tail| tail.find('\\')) {
            Some(escape) => tail + escape,
            None => text.len(),
        };
        format!("{}\"}}", text.get(..whole).unwrap_or_default())
    }

    /// Reads a line; `None` when it is not one of a jsonlog.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut line: Self = serde_json::from_str(text).ok()?;
        line.timestamp.text()?;
        line.error_severity.text()?;
        // As csvlog and stderr write it.
        line.location = match (line.func_name.text(), line.file_name.text(), line.file_line_num.number()) {
            (Some(function), Some(file), Some(number)) => Some(format!("{function}, {file}:{number}")),
            (None, Some(file), Some(number)) => Some(format!("{file}:{number}")),
            _ => None,
        };
        Some(line)
    }

    pub(super) fn entry(&self, times: &mut TimeReader) -> Entry<'_> {
        let severity_word = self.error_severity.text().unwrap_or_default();
        Entry {
            time: self.timestamp.text().and_then(|text| times.read(text.as_bytes())),
            severity: severity(severity_word),
            severity_word,
            sqlstate: self.state_code.text().and_then(|text| SqlState::new(text.as_bytes())),
            user: self.user.text(),
            database: self.dbname.text(),
            application: self.application_name.text(),
            pid: self.pid.small(),
            session_id: self.session_id.text(),
            session_line: self.line_num.number(),
            session_start: self.session_start.text().and_then(|text| times.read(text.as_bytes())),
            backend_type: self.backend_type.text(),
            leader_pid: self.leader_pid.small(),
            remote_host: self.remote_host.text(),
            remote_port: self.remote_port.number().and_then(|port| port.try_into().ok()),
            virtual_xid: self.vxid.text(),
            xid: self.txid.number().filter(|xid| *xid != 0),
            command_tag: self.ps.text(),
            query_id: self.query_id.number().filter(|id| *id != 0),
            message: self.message.text().unwrap_or_default(),
            position: self.cursor_position.small().or_else(|| self.internal_position.small()),
            detail: self.detail.text(),
            hint: self.hint.text(),
            context: self.context.text(),
            statement: self.statement.text(),
            internal_query: self.internal_query.text(),
            location: self.location.as_deref(),
            ..Entry::default()
        }
    }
}
