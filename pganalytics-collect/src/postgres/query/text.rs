//! Text as it comes from a server, in whatever encoding.
//!
//! A database has an encoding, but what is shared by all databases (texts of statements, names of
//! applications, roles and databases) has the bytes of whoever wrote it, and `SQL_ASCII` promises
//! nothing at all. Asked for UTF-8 the server would refuse a whole answer for one odd byte. So
//! databases of other encodings are asked for their bytes as they are, and what is no UTF-8 is
//! decoded here; a byte that stands for nothing becomes U+FFFD.

use std::borrow::Cow;

use encoding_rs::Encoding;
use tokio_postgres::types::{FromSql, Type};

/// The encoding of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerEncoding {
    /// `None` where nothing is known of it, as with `SQL_ASCII`.
    decoder: Option<&'static Encoding>,
    /// Whether the server hands its bytes over as they are without being asked.
    pub(crate) is_utf8: bool,
}

impl ServerEncoding {
    /// By the value of `server_encoding`.
    pub(crate) fn named(name: &str) -> Self {
        let label = match name {
            "UTF8" => return Self { decoder: None, is_utf8: true },
            "LATIN1" => "iso-8859-1",
            "LATIN2" => "iso-8859-2",
            "LATIN3" => "iso-8859-3",
            "LATIN4" => "iso-8859-4",
            "LATIN5" => "iso-8859-9",
            "LATIN6" => "iso-8859-10",
            "LATIN7" => "iso-8859-13",
            "LATIN8" => "iso-8859-14",
            "LATIN9" => "iso-8859-15",
            "LATIN10" => "iso-8859-16",
            "ISO_8859_5" => "iso-8859-5",
            "ISO_8859_6" => "iso-8859-6",
            "ISO_8859_7" => "iso-8859-7",
            "ISO_8859_8" => "iso-8859-8",
            "KOI8R" => "koi8-r",
            "KOI8U" => "koi8-u",
            "WIN1250" => "windows-1250",
            "WIN1251" => "windows-1251",
            "WIN1252" => "windows-1252",
            "WIN1253" => "windows-1253",
            "WIN1254" => "windows-1254",
            "WIN1255" => "windows-1255",
            "WIN1256" => "windows-1256",
            "WIN1257" => "windows-1257",
            "WIN1258" => "windows-1258",
            "WIN866" => "ibm866",
            "WIN874" => "windows-874",
            "EUC_JP" | "EUC_JIS_2004" => "euc-jp",
            "EUC_KR" => "euc-kr",
            "EUC_CN" => "gbk",
            _ => "",
        };
        Self { decoder: Encoding::for_label(label.as_bytes()), is_utf8: false }
    }

    /// Bytes as text.
    pub(crate) fn decode<'a>(self, raw: &'a [u8]) -> Cow<'a, str> {
        match (std::str::from_utf8(raw), self.decoder) {
            (Ok(text), _) => Cow::Borrowed(text),
            (Err(_), Some(decoder)) => decoder.decode_without_bom_handling(raw).0,
            (Err(_), None) => String::from_utf8_lossy(raw),
        }
    }
}

/// A name or the like, with odd bytes replaced; `NULL` is empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Lossy(pub(crate) String);

impl<'a> FromSql<'a> for Lossy {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(String::from_utf8_lossy(raw).into_owned()))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::default())
    }

    fn accepts(ty: &Type) -> bool {
        <&str as FromSql>::accepts(ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_text_in_its_encoding_or_is_replaced() {
        let decode = |name: &str, raw: &'static [u8]| ServerEncoding::named(name).decode(raw).into_owned();
        assert_eq!(decode("UTF8", "prénom".as_bytes()), "prénom");
        assert_eq!(decode("UTF8", b"pr\xe9nom"), "pr\u{fffd}nom");
        assert_eq!(decode("SQL_ASCII", b"pr\xe9nom"), "pr\u{fffd}nom");
        assert_eq!(decode("LATIN1", b"pr\xe9nom"), "prénom");
        assert_eq!(decode("EUC_JP", b"\xc6\xfc\xcb\xdc"), "日本");
        // Statements of a UTF-8 database, seen from another.
        assert_eq!(decode("LATIN1", "日本".as_bytes()), "日本");
        assert_eq!(decode("EUC_JP", b"caf\xe9"), "caf\u{fffd}");
    }
}
