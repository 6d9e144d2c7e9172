//! The objects of one look at `pg_schema`, in the order of their names.
//!
//! There may be a hundred thousand, so nothing is copied out of the rows.

use std::{collections::BTreeMap, fmt};

use pganalytics_core::{Rows, Schema, Value};

use crate::qualified::quote_ident;

/// Which catalog an object is in: OIDs are unique in each of them only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CatalogTable {
    Class,
    Constraint,
    Trigger,
}

/// What an object is called: `table public.t constraint c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label<'a> {
    kind: &'a str,
    schema: &'a str,
    name: &'a str,
    /// A constraint or trigger of it, with its kind.
    part: Option<(&'a str, &'a str)>,
}

impl Label<'_> {
    /// The part that a rename of the object itself changes.
    pub(super) fn own_name(&self) -> String {
        match self.part {
            Some((_, name)) => name.to_owned(),
            None => format!("{}.{}", quote_ident(self.schema), quote_ident(self.name)),
        }
    }
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.kind, quote_ident(self.schema), quote_ident(self.name))?;
        self.part.map_or(Ok(()), |(kind, name)| write!(f, " {kind} {name}"))
    }
}

/// One object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    /// Where it stands in its look.
    pub(super) row: u32,
    pub(super) label: Label<'a>,
    pub(super) id: (CatalogTable, i64),
    pub(super) hash: i64,
    pub(super) definition: &'a str,
    /// A line for each.
    columns: Option<&'a str>,
}

impl<'a> Object<'a> {
    /// The columns by their names.
    pub(super) fn columns(&self) -> BTreeMap<&'a str, &'a str> {
        self.columns.unwrap_or_default().lines().map(split_name).collect()
    }

    /// It with its columns, for one that came or went.
    pub(super) fn whole(&self) -> String {
        match self.columns {
            Some(columns) => format!("{} ({})", self.definition, columns.replace('\n', ", ")),
            None => self.definition.to_owned(),
        }
    }
}

/// A look at the rows of `pg_schema`.
pub(super) struct SchemaRows<'a> {
    rows: &'a Rows,
    /// Positions of the columns: kind, schemaname, relname, name.
    names: [usize; 4],
    /// objid, definition_hash.
    numbers: [usize; 2],
    /// definition, columns.
    texts: [usize; 2],
    /// Rows by their labels.
    order: Vec<u32>,
}

impl<'a> SchemaRows<'a> {
    /// `None`: a column is not there.
    pub(super) fn of(schema: &Schema, rows: &'a Rows) -> Option<Self> {
        let at = |column: &str| schema.position(column);
        let mut look = Self {
            rows,
            names: [at("kind")?, at("schemaname")?, at("relname")?, at("name")?],
            numbers: [at("objid")?, at("definition_hash")?],
            texts: [at("definition")?, at("columns")?],
            order: (0..u32::try_from(rows.len()).ok()?).collect(),
        };
        let mut order = std::mem::take(&mut look.order);
        order.sort_unstable_by(|&a, &b| look.label(a).cmp(&look.label(b)));
        look.order = order;
        Some(look)
    }

    /// The objects by their labels.
    pub(super) fn objects(&self) -> impl Iterator<Item = Object<'a>> + '_ {
        self.order.iter().map(|&row| self.object(row))
    }

    pub(super) fn object(&self, row: u32) -> Object<'a> {
        let ([oid, hash], [definition, columns]) = (self.numbers, self.texts);
        let label = self.label(row);
        let kept = match label.part {
            Some(("constraint", _)) => CatalogTable::Constraint,
            Some(_) => CatalogTable::Trigger,
            None => CatalogTable::Class,
        };
        Object {
            row,
            label,
            id: (kept, self.number(row, oid)),
            hash: self.number(row, hash),
            definition: self.text(row, definition).unwrap_or_default(),
            columns: self.text(row, columns),
        }
    }

    fn label(&self, row: u32) -> Label<'a> {
        let [kind, schema, relation, name] = self.names.map(|column| self.text(row, column).unwrap_or_default());
        match kind {
            // An index has a name of its own in the schema.
            "index" => Label { kind, schema, name, part: None },
            "constraint" | "trigger" => Label { kind: "table", schema, name: relation, part: Some((kind, name)) },
            _ => Label { kind, schema, name: relation, part: None },
        }
    }

    fn text(&self, row: u32, column: usize) -> Option<&'a str> {
        match self.rows.get(row as usize, column) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self, row: u32, column: usize) -> i64 {
        match self.rows.get(row as usize, column) {
            Value::Int(number) => number,
            _ => 0,
        }
    }
}

/// A quoted name may hold spaces, and quotes that are doubled.
fn split_name(line: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = line.find(|c: char| {
        quoted ^= c == '"';
        c == ' ' && !quoted
    });
    end.map_or((line, ""), |end| (line.get(..end).unwrap_or(line), line.get(end + 1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::split_name;

    #[test]
    fn names_of_columns_may_hold_anything() {
        assert_eq!(split_name("a integer not null"), ("a", "integer not null"));
        assert_eq!(split_name("\"a b\" text"), ("\"a b\"", "text"));
        assert_eq!(split_name("\"q\"\"x y\" text"), ("\"q\"\"x y\"", "text"));
        assert_eq!(split_name("\"never ends"), ("\"never ends", ""));
        assert_eq!(split_name(""), ("", ""));
    }
}
