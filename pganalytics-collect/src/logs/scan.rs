//! Walks through a message whose wording is known.

use std::str::FromStr;

/// What is left of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a>(pub(super) &'a str);

impl<'a> Scan<'a> {
    /// Goes behind the next place where this stands; `None`, and stays, when it
    /// stands nowhere.
    pub(super) fn behind(&mut self, mark: &str) -> Option<()> {
        self.until(mark).map(drop)
    }

    /// The text up to this mark, and goes behind it.
    pub(super) fn until(&mut self, mark: &str) -> Option<&'a str> {
        let (before, behind) = self.0.split_once(mark)?;
        self.0 = behind;
        Some(before)
    }

    /// Goes behind this when it stands right here.
    pub(super) fn skip(&mut self, mark: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(mark)?;
        Some(())
    }

    /// The number that stands here.
    pub(super) fn number<N: FromStr>(&mut self) -> Option<N> {
        let sign = usize::from(self.0.starts_with('-'));
        let digits = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let len = sign + self.0.bytes().skip(sign).take_while(|byte| digits(byte)).count();
        let (number, behind) = self.0.split_at_checked(len)?;
        let number = number.parse().ok()?;
        self.0 = behind;
        Some(number)
    }

    /// The number behind the next place where this stands.
    pub(super) fn number_behind<N: FromStr>(&mut self, mark: &str) -> Option<N> {
        self.behind(mark)?;
        self.number()
    }
}

/// The number right before this mark, wherever it stands.
pub(super) fn number_before<N: FromStr>(text: &str, mark: &str) -> Option<N> {
    let before = text.get(..text.find(mark)?)?;
    let digits = before.bytes().rev().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    before.get(before.len() - digits..)?.parse().ok()
}

/// The number right behind this mark, wherever it stands.
pub(super) fn number_after<N: FromStr>(text: &str, mark: &str) -> Option<N> {
    Scan(text).number_behind(mark)
}

/// Numbers with commas between.
pub(super) fn numbers(text: &str) -> Vec<i32> {
    text.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}
