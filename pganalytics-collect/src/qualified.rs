//! Names of relations with their schema, quoted where they must be: `"x.y".z` and `x."y.z"` differ.

use std::borrow::Cow;

/// A name as SQL takes it: in quotes unless it is a plain one, as the server's own `quote_ident`
/// but for words that are reserved.
#[cfg(feature = "postgres")]
pub(crate) fn quote_ident(name: &str) -> Cow<'_, str> {
    let plain = |(at, byte): (usize, u8)| match byte {
        b'a'..=b'z' | b'_' => true,
        b'0'..=b'9' => at > 0,
        _ => false,
    };
    if !name.is_empty() && name.bytes().enumerate().all(plain) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("\"{}\"", name.replace('"', "\"\"")))
    }
}

/// The name without its schema and quotes.
#[cfg(feature = "exporter")]
pub(crate) fn without_schema(qualified: &str) -> Cow<'_, str> {
    let mut quoted = false;
    let mut begin = 0;
    for (at, byte) in qualified.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'.' if !quoted => begin = at + 1,
            _ => {}
        }
    }
    let name = qualified.get(begin..).unwrap_or_default();
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => Cow::Owned(inner.replace("\"\"", "\"")),
        None => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_and_quotes_stay_apart() {
        let joined = |schema: &str, name: &str| format!("{}.{}", quote_ident(schema), quote_ident(name));
        assert_eq!(joined("public", "orders_2"), "public.orders_2");
        assert_ne!(joined("x.y", "z"), joined("x", "y.z"));
        for name in ["orders", "a$b", "y.z", "a\"b", "Groß", "", "2nd", ".", "\".\""] {
            assert_eq!(without_schema(&joined("x.y", name)), name);
        }
        assert_eq!(without_schema("orders"), "orders");
    }
}
