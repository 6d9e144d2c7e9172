//! The directory of keys: the distinct keys of rows that are sorted by key, and
//! the rows of each.

use std::{cmp::Ordering, ops::Range};

use crate::{
    rows::Rows,
    schema::{ColumnKind, Schema},
    value::{ColumnData, Value, Values},
};

/// The distinct keys of a frame, sorted, and the rows of each.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDirectory {
    columns: Vec<(usize, ColumnData)>,
    ends: Vec<u32>,
}

impl KeyDirectory {
    pub(super) fn new(columns: Vec<(usize, ColumnData)>, ends: Vec<u32>) -> Self {
        Self { columns, ends }
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key columns, by their position in the schema: a row is a key.
    #[must_use]
    pub fn columns(&self) -> &[(usize, ColumnData)] {
        &self.columns
    }

    /// Whether each key is greater than the one before, as it should be.
    pub(super) fn is_sorted(&self) -> bool {
        let keys: Vec<&ColumnData> = self.columns.iter().map(|(_, data)| data).collect();
        (1..self.len()).all(|key| compare(&keys, key - 1, key) == Ordering::Less)
    }

    /// The rows of a key; none past the last.
    #[must_use]
    pub fn rows(&self, key: usize) -> Range<usize> {
        let Some(&end) = self.ends.get(key) else { return 0..0 };
        let start = key.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&end| end as usize);
        start..end as usize
    }

    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let of = |data: &ColumnData| match data.values() {
            Values::Text(texts) => texts.bytes().len() + 4 * texts.len(),
            _ => 8 * data.len(),
        };
        4 * self.ends.len() + self.columns.iter().map(|(_, data)| of(data)).sum::<usize>()
    }

    /// The keys that have these values, by the columns' positions in the schema.
    /// A column that is no key column is had by none.
    #[must_use]
    pub fn find(&self, values: &[(usize, Value<'_>)]) -> Vec<usize> {
        let has = |key: usize| {
            values.iter().all(|(column, value)| {
                let data = self.columns.iter().find(|(at, _)| at == column);
                data.is_some_and(|(_, data)| data.get(key) == *value)
            })
        };
        (0..self.len()).filter(|&key| has(key)).collect()
    }
}

/// How rows that are sorted by key fall into keys.
pub(super) struct Runs {
    /// The first row of each key.
    pub(super) first_rows: Vec<u32>,
    /// Rows of each key.
    pub(super) lens: Vec<i64>,
}

impl Runs {
    /// `None` when the rows are not sorted by key, or there are none.
    pub(super) fn of(schema: &Schema, rows: &Rows) -> Option<Self> {
        let keys: Vec<&ColumnData> =
            schema.positions_of(ColumnKind::Key).filter_map(|at| rows.columns().get(at)).collect();
        if rows.is_empty() || u32::try_from(rows.len()).is_err() {
            return None;
        }
        let mut runs = Self { first_rows: vec![0], lens: vec![1] };
        for row in 1..rows.len() {
            match (compare(&keys, row - 1, row), runs.lens.last_mut()) {
                (Ordering::Equal, Some(len)) => *len += 1,
                (Ordering::Less, _) => {
                    runs.first_rows.push(u32::try_from(row).ok()?);
                    runs.lens.push(1);
                }
                _ => return None,
            }
        }
        Some(runs)
    }
}

/// Order of two rows by their keys; NULL first.
pub(super) fn compare(keys: &[&ColumnData], a: usize, b: usize) -> Ordering {
    let one = |data: &&ColumnData| {
        let null = |row| data.nulls().is_some_and(|nulls| nulls.get(row));
        match (null(a), null(b)) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match data.values() {
            Values::Int(values) | Values::Timestamp(values) => values.get(a).cmp(&values.get(b)),
            Values::Float(values) => {
                let bits = |row| values.get(row).copied().unwrap_or_default();
                bits(a).total_cmp(&bits(b))
            }
            Values::Bool(values) => values.get(a).cmp(&values.get(b)),
            Values::Text(values) => values.get(a).cmp(values.get(b)),
        }
    };
    keys.iter().map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(keys: Vec<i64>) -> KeyDirectory {
        let ends = (1..).take(keys.len()).collect();
        KeyDirectory::new(vec![(0, ColumnData::new(Values::Int(keys)))], ends)
    }

    #[test]
    fn keys_are_sorted_and_none_stands_twice() {
        assert!(directory(vec![]).is_sorted());
        assert!(directory(vec![1, 2, 5]).is_sorted());
        assert!(!directory(vec![1, 5, 2]).is_sorted());
        assert!(!directory(vec![1, 2, 2]).is_sorted());
    }
}
