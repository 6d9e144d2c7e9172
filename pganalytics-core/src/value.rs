//! Typed values, a column at a time.

use crate::{mask::Mask, schema::ColumnType};

/// One value, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// 64-bit signed integer.
    Int(i64),
    /// 64-bit float.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Microseconds since 1970-01-01 UTC.
    Timestamp(i64),
    /// UTF-8 text.
    Text(&'a str),
}

impl Value<'_> {
    /// The type, `None` for NULL.
    #[must_use]
    pub fn ty(&self) -> Option<ColumnType> {
        Some(match self {
            Self::Null => return None,
            Self::Int(_) => ColumnType::Int,
            Self::Float(_) => ColumnType::Float,
            Self::Bool(_) => ColumnType::Bool,
            Self::Timestamp(_) => ColumnType::Timestamp,
            Self::Text(_) => ColumnType::Text,
        })
    }
}

/// Texts of a column, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextValues {
    /// Where each text ends; the first begins at 0.
    ends: Vec<u32>,
    bytes: String,
}

impl Default for TextValues {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl TextValues {
    /// Room for `rows` texts.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self { ends: Vec::with_capacity(rows), bytes: String::new() }
    }

    /// From texts one behind the other and where each ends. `None` when an end
    /// is not in order, past the bytes or within a character.
    #[must_use]
    pub fn from_parts(ends: Vec<u32>, bytes: String) -> Option<Self> {
        let last = ends.last().map_or(0, |&end| end as usize);
        let fits =
            last == bytes.len() && ends.is_sorted() && ends.iter().all(|&end| bytes.is_char_boundary(end as usize));
        fits.then_some(Self { ends, bytes })
    }

    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of a row; empty past the end.
    #[must_use]
    pub fn get(&self, row: usize) -> &str {
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&end| end as usize);
        let end = self.ends.get(row).map_or(start, |&end| end as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Whether the column has room for this text.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        self.bytes.len() + text.len() <= u32::MAX as usize
    }

    /// Appends a text. Returns false, and appends an empty one, when the column
    /// would outgrow 4 GiB.
    pub fn push(&mut self, text: &str) -> bool {
        let fits = self.fits(text);
        if fits {
            self.bytes.push_str(text);
        }
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        fits
    }

    /// Gives away the texts, one behind the other, and where each ends.
    #[must_use]
    pub fn into_parts(self) -> (String, Vec<u32>) {
        (self.bytes, self.ends)
    }

    /// All texts, one behind the other.
    #[must_use]
    pub fn bytes(&self) -> &str {
        &self.bytes
    }

    /// Where each text ends in [`TextValues::bytes`].
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }
}

impl<'a> FromIterator<&'a str> for TextValues {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut values = Self::default();
        for text in texts {
            values.push(text);
        }
        values
    }
}

/// The values of a column; where a row is NULL its place holds a zero, false or
/// an empty text.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Integers.
    Int(Vec<i64>),
    /// Floats.
    Float(Vec<f64>),
    /// True and false.
    Bool(Vec<bool>),
    /// Microseconds since 1970-01-01 UTC.
    Timestamp(Vec<i64>),
    /// Texts.
    Text(TextValues),
}

impl Values {
    /// No values of this type, with room for `rows`.
    #[must_use]
    pub fn with_capacity(ty: ColumnType, rows: usize) -> Self {
        match ty {
            ColumnType::Int => Self::Int(Vec::with_capacity(rows)),
            ColumnType::Float => Self::Float(Vec::with_capacity(rows)),
            ColumnType::Bool => Self::Bool(Vec::with_capacity(rows)),
            ColumnType::Timestamp => Self::Timestamp(Vec::with_capacity(rows)),
            ColumnType::Text => Self::Text(TextValues::with_capacity(rows)),
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Int(values) | Self::Timestamp(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Type of the values.
    #[must_use]
    pub fn ty(&self) -> ColumnType {
        match self {
            Self::Int(_) => ColumnType::Int,
            Self::Float(_) => ColumnType::Float,
            Self::Bool(_) => ColumnType::Bool,
            Self::Timestamp(_) => ColumnType::Timestamp,
            Self::Text(_) => ColumnType::Text,
        }
    }
}

/// A column: its values and which of them are NULL.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnData {
    values: Values,
    nulls: Option<Mask>,
}

impl ColumnData {
    /// A column without NULLs.
    #[must_use]
    pub fn new(values: Values) -> Self {
        Self { values, nulls: None }
    }

    /// A column whose NULLs are the set bits of `nulls` (missing bits: not
    /// NULL). A mask without a set bit is dropped.
    #[must_use]
    pub fn with_nulls(values: Values, nulls: Mask) -> Self {
        let nulls = if nulls.any() { Some(Mask::from_words(nulls.into_words(), values.len())) } else { None };
        Self { values, nulls }
    }

    /// An empty column with room for `rows`.
    #[must_use]
    pub fn with_capacity(ty: ColumnType, rows: usize) -> Self {
        Self::new(Values::with_capacity(ty, rows))
    }

    /// The values; at NULL rows a zero, false or an empty text.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Which rows are NULL; `None` when no row is.
    #[must_use]
    pub fn nulls(&self) -> Option<&Mask> {
        self.nulls.as_ref()
    }

    /// Gives away the values and the NULLs.
    #[must_use]
    pub fn into_parts(self) -> (Values, Option<Mask>) {
        (self.values, self.nulls)
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Type of the values.
    #[must_use]
    pub fn ty(&self) -> ColumnType {
        self.values.ty()
    }

    /// The value of a row; NULL past the end.
    #[must_use]
    pub fn get(&self, row: usize) -> Value<'_> {
        if row >= self.len() || self.nulls.as_ref().is_some_and(|nulls| nulls.get(row)) {
            return Value::Null;
        }
        match &self.values {
            Values::Int(values) => values.get(row).map_or(Value::Null, |&v| Value::Int(v)),
            Values::Timestamp(values) => values.get(row).map_or(Value::Null, |&v| Value::Timestamp(v)),
            Values::Float(values) => values.get(row).map_or(Value::Null, |&v| Value::Float(v)),
            Values::Bool(values) => values.get(row).map_or(Value::Null, |&v| Value::Bool(v)),
            Values::Text(values) => Value::Text(values.get(row)),
        }
    }

    /// Appends a value. An integer fits a float column; anything else of
    /// another type is refused and the column stays as it was.
    ///
    /// # Errors
    /// The value's type, when the column can't hold it or would outgrow 4 GiB.
    pub fn push(&mut self, value: Value<'_>) -> Result<(), ColumnType> {
        let row = self.len();
        match (&mut self.values, value) {
            (Values::Int(values), Value::Int(v)) | (Values::Timestamp(values), Value::Timestamp(v)) => values.push(v),
            (Values::Float(values), Value::Float(v)) => values.push(v),
            #[expect(clippy::cast_precision_loss, reason = "an integer in a float column is a rounded float")]
            (Values::Float(values), Value::Int(v)) => values.push(v as f64),
            (Values::Bool(values), Value::Bool(v)) => values.push(v),
            (Values::Text(values), Value::Text(v)) => {
                if !values.fits(v) {
                    return Err(ColumnType::Text);
                }
                values.push(v);
            }
            (values, Value::Null) => {
                match values {
                    Values::Int(values) | Values::Timestamp(values) => values.push(0),
                    Values::Float(values) => values.push(0.0),
                    Values::Bool(values) => values.push(false),
                    Values::Text(values) => {
                        values.push("");
                    }
                }
                let nulls = self.nulls.get_or_insert_with(Mask::default);
                while nulls.len() < row {
                    nulls.push(false);
                }
                nulls.push(true);
                return Ok(());
            }
            (_, other) => return Err(other.ty().unwrap_or(ColumnType::Text)),
        }
        if let Some(nulls) = &mut self.nulls {
            nulls.push(false);
        }
        Ok(())
    }

    /// Appends another column's rows.
    ///
    /// # Errors
    /// The other's type, when it differs or the texts would outgrow 4 GiB.
    pub fn append(&mut self, other: &Self) -> Result<(), ColumnType> {
        let before = self.len();
        match (&mut self.values, &other.values) {
            (Values::Int(to), Values::Int(from)) | (Values::Timestamp(to), Values::Timestamp(from)) => {
                to.extend_from_slice(from);
            }
            (Values::Float(to), Values::Float(from)) => to.extend_from_slice(from),
            (Values::Bool(to), Values::Bool(from)) => to.extend_from_slice(from),
            (Values::Text(to), Values::Text(from)) => {
                if to.bytes.len() + from.bytes.len() > u32::MAX as usize {
                    return Err(ColumnType::Text);
                }
                for text in from.iter() {
                    to.push(text);
                }
            }
            _ => return Err(other.ty()),
        }
        if self.nulls.is_some() || other.nulls.is_some() {
            let nulls = self.nulls.get_or_insert_with(|| Mask::unset(before));
            for row in 0..other.len() {
                nulls.push(other.nulls.as_ref().is_some_and(|nulls| nulls.get(row)));
            }
        }
        Ok(())
    }

    /// The rows at these positions, in that order; NULL past the end.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        let mut taken = Self::with_capacity(self.ty(), rows.len());
        match (&self.values, &mut taken.values) {
            (Values::Int(from), Values::Int(to)) | (Values::Timestamp(from), Values::Timestamp(to)) => {
                to.extend(rows.iter().map(|&row| from.get(row as usize).copied().unwrap_or_default()));
            }
            (Values::Float(from), Values::Float(to)) => {
                to.extend(rows.iter().map(|&row| from.get(row as usize).copied().unwrap_or_default()));
            }
            (Values::Bool(from), Values::Bool(to)) => {
                to.extend(rows.iter().map(|&row| from.get(row as usize).copied().unwrap_or_default()));
            }
            (Values::Text(from), Values::Text(to)) => {
                for &row in rows {
                    to.push(from.get(row as usize));
                }
            }
            _ => {}
        }
        let len = self.len();
        if self.nulls.is_some() || rows.iter().any(|&row| row as usize >= len) {
            let nulls: Mask = rows.iter().map(|&row| self.get(row as usize) == Value::Null).collect();
            taken.nulls = nulls.any().then_some(nulls);
        }
        taken
    }
}
