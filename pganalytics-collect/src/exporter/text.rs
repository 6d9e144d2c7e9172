//! How Prometheus writes figures down: numbers, labels, samples.

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(super) fn as_f64(self) -> f64 {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }
}

/// The longest integer that a float holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes a number. Integers stay integers, however long.
pub(super) fn number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Int(int) => integer(out, int),
        #[allow(clippy::cast_possible_truncation)]
        Number::Float(float) if float.fract() == 0.0 && float.abs() < EXACT => integer(out, float as i64),
        Number::Float(float) if float.is_nan() => out.extend_from_slice(b"NaN"),
        Number::Float(float) if float.is_infinite() => {
            out.extend_from_slice(if float > 0.0 { b"+Inf" } else { b"-Inf" });
        }
        Number::Float(float) => {
            use std::io::Write as _;
            let plain = (1e-5..1e17).contains(&float.abs());
            // A vector takes everything.
            let _ = if plain { write!(out, "{float}") } else { write!(out, "{float:e}") };
        }
    }
}

fn integer(out: &mut Vec<u8>, int: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = int.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        #[allow(clippy::cast_possible_truncation)]
        {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        at -= 1;
        if rest == 0 {
            break;
        }
    }
    if int < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Writes a label's value between its quotes.
pub(super) fn label_value(out: &mut Vec<u8>, value: &str) {
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.extend_from_slice(match special.first() {
            Some(b'\n') => b"\\n",
            Some(b'"') => b"\\\"",
            _ => b"\\\\",
        });
        rest = special.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Writes a family's help.
pub(super) fn help(out: &mut Vec<u8>, help: &str, open_metrics: bool) {
    for byte in help.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if open_metrics => out.extend_from_slice(b"\\\""),
            byte => out.push(byte),
        }
    }
}

/// The labels of a series while they are put together.
#[derive(Debug, Default)]
pub(super) struct Labels {
    text: Vec<u8>,
}

impl Labels {
    pub(super) fn clear(&mut self) {
        self.text.clear();
    }

    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.begin(name);
        label_value(&mut self.text, value);
        self.text.push(b'"');
    }

    pub(super) fn add_number(&mut self, name: &str, value: Number) {
        self.begin(name);
        number(&mut self.text, value);
        self.text.push(b'"');
    }

    fn begin(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push(b',');
        }
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b"=\"");
    }

    /// What stands between the braces.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Number) -> String {
        let mut out = Vec::new();
        number(&mut out, value);
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for int in [0, 7, -1, 10, 1_234_567_890, i64::MAX, i64::MIN] {
            assert_eq!(written(Number::Int(int)), int.to_string());
        }
        for (float, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.5, "1.5"),
            (-2.0, "-2"),
            (1e9, "1000000000"),
            (0.001, "0.001"),
            (1e-9, "1e-9"),
            (1.844_674_407_370_955_2e19, "1.8446744073709552e19"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(Number::Float(float)), text);
        }
    }

    #[test]
    fn floats_survive_being_written() {
        for float in [0.1, 1.0 / 3.0, 1e300, 5e-324, 1_795_232_305.488_613, 123_456_789.123_456_79] {
            assert_eq!(written(Number::Float(float)).parse(), Ok(float));
        }
    }

    #[test]
    fn labels_and_help_are_escaped() {
        let mut labels = Labels::default();
        labels.add("a", "x\\y\"z\nü");
        labels.add_number("b", Number::Int(3));
        assert_eq!(labels.as_bytes(), "a=\"x\\\\y\\\"z\\nü\",b=\"3\"".as_bytes());
        let mut out = Vec::new();
        help(&mut out, "a\\b\nc\"d", false);
        assert_eq!(out, b"a\\\\b\\nc\"d");
    }
}
