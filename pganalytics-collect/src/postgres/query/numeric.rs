//! PostgreSQL's binary form of `numeric`.

use std::fmt::Write as _;

/// The number as text, as PostgreSQL writes it; `None` when the bytes are not a
/// numeric.
pub(crate) fn text_of(raw: &[u8]) -> Option<String> {
    let mut words = raw.chunks_exact(2).map(|pair| match pair {
        [high, low] => i16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let count = usize::try_from(words.next()?).ok()?;
    let weight = i32::from(words.next()?);
    let sign = words.next()?.cast_unsigned();
    let scale = usize::try_from(words.next()?).ok()?;
    let digits: Vec<i16> = words.collect();
    if digits.len() != count {
        return None;
    }
    let mut text = String::new();
    match sign {
        0x0000 => {}
        0x4000 => text.push('-'),
        0xC000 => return Some(String::from("NaN")),
        0xD000 => return Some(String::from("Infinity")),
        0xF000 => return Some(String::from("-Infinity")),
        _ => return None,
    }
    let digit = |at: i32| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or_default();
    if weight < 0 {
        text.push('0');
    }
    for at in 0..=weight {
        if at == 0 {
            write!(text, "{}", digit(at)).ok()?;
        } else {
            write!(text, "{:04}", digit(at)).ok()?;
        }
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        let mut at = weight + 1;
        while text.len() < end {
            // Digits before the first one stored are zeros.
            write!(text, "{:04}", if at < 0 { 0 } else { digit(at) }).ok()?;
            at += 1;
        }
        text.truncate(end);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::text_of;

    fn raw(weight: i16, sign: u16, scale: i16, digits: &[i16]) -> Vec<u8> {
        let head = [i16::try_from(digits.len()).unwrap(), weight, sign.cast_signed(), scale];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numbers_read_as_postgresql_writes_them() {
        let cases = [
            (raw(0, 0, 0, &[42]), "42"),
            (raw(0, 0x4000, 2, &[1, 5000]), "-1.50"),
            (raw(1, 0, 0, &[12, 3]), "120003"),
            (raw(2, 0, 0, &[1]), "100000000"),
            (raw(-1, 0, 4, &[7]), "0.0007"),
            (raw(-2, 0, 8, &[7]), "0.00000007"),
            (raw(0, 0, 0, &[]), "0"),
            (raw(0, 0, 3, &[]), "0.000"),
            (raw(0, 0xC000, 0, &[]), "NaN"),
            (raw(0, 0xD000, 0, &[]), "Infinity"),
        ];
        for (raw, text) in cases {
            assert_eq!(text_of(&raw).as_deref(), Some(text));
        }
        assert_eq!(text_of(&[0, 3, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(text_of(&[]), None);
    }
}
