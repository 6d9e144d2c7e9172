//! What DDL did to a database, from two looks at `pg_schema`.
//!
//! An object is found again by its name, so that a table that was dropped and
//! made anew is one change and not two; what has no counterpart by name is
//! looked for by its OID, which a rename keeps. Columns are compared by name.
//! A look that was cut off at the row limit can't be compared: it is forgotten,
//! and the next whole one is a first one again.

use std::collections::{BTreeMap, HashMap};

use pganalytics_core::{Batch, Source, Value};

use super::{Event, Watcher};

/// Events of one look; the rest are told as a number.
const MOST_EVENTS: usize = 1000;

/// What an object is called: `table public.t constraint c`.
type Label = String;

/// Bytes of a definition that an event tells.
const MOST_BYTES: usize = 8192;

/// Which catalog an object is in: OIDs are unique in each of them only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kept {
    Class,
    Constraint,
    Trigger,
}

/// An object at one look. Boxed, for there may be a hundred thousand.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    id: (Kept, i64),
    hash: i64,
    /// The part of the label that a rename of the object itself changes.
    name: Box<str>,
    definition: Box<str>,
    columns: Option<Box<str>>,
}

type Look = BTreeMap<Label, Object>;

/// Remembers the schema of each database.
pub(super) struct SchemaWatcher {
    max_rows: usize,
    looks: HashMap<Source, Look>,
}

impl SchemaWatcher {
    /// `max_rows`: from so many rows on a look may be cut off.
    pub(super) fn new(max_rows: usize) -> Self {
        Self { max_rows, looks: HashMap::new() }
    }
}

impl Watcher for SchemaWatcher {
    fn measurement(&self) -> &'static str {
        "pg_schema"
    }

    fn see(&mut self, batch: &Batch) -> Vec<Event> {
        if batch.rows.len() >= self.max_rows {
            self.looks.remove(&batch.source);
            return Vec::new();
        }
        let Some(now) = look(batch) else { return Vec::new() };
        let events = self.looks.get(&batch.source).map(|before| compare(before, &now)).unwrap_or_default();
        self.looks.insert(batch.source.clone(), now);
        events
    }

    fn forget(&mut self, source: &Source) {
        self.looks.remove(source);
    }
}

/// The objects of a batch; `None` when it is not what it should be.
fn look(batch: &Batch) -> Option<Look> {
    let at = |column: &str| batch.schema.position(column);
    let (kind, schema, relation, name) = (at("kind")?, at("schemaname")?, at("relname")?, at("name")?);
    let (oid, hash, definition, columns) = (at("objid")?, at("definition_hash")?, at("definition")?, at("columns")?);
    let text = |row: usize, column: usize| match batch.rows.get(row, column) {
        Value::Text(text) => Some(text),
        _ => None,
    };
    let number = |row: usize, column: usize| match batch.rows.get(row, column) {
        Value::Int(number) => number,
        _ => 0,
    };
    let mut found = Look::new();
    for row in 0..batch.rows.len() {
        let (kind, schema, relation) = (text(row, kind)?, text(row, schema)?, text(row, relation)?);
        let name = text(row, name).unwrap_or_default();
        let (label, own) = match kind {
            // An index has a name of its own in the schema.
            "index" => (format!("index {schema}.{name}"), format!("{schema}.{name}")),
            "constraint" | "trigger" => (format!("table {schema}.{relation} {kind} {name}"), name.to_owned()),
            _ => (format!("{kind} {schema}.{relation}"), format!("{schema}.{relation}")),
        };
        let kept = match kind {
            "constraint" => Kept::Constraint,
            "trigger" => Kept::Trigger,
            _ => Kept::Class,
        };
        let object = Object {
            id: (kept, number(row, oid)),
            hash: number(row, hash),
            name: own.into(),
            definition: text(row, definition).unwrap_or_default().into(),
            columns: text(row, columns).map(Into::into),
        };
        found.insert(label, object);
    }
    Some(found)
}

fn compare(before: &Look, now: &Look) -> Vec<Event> {
    let mut events = Vec::new();
    let fresh: Vec<_> = now.iter().filter(|(label, _)| !before.contains_key(*label)).collect();
    let mut by_id: HashMap<(Kept, i64), (&Label, &Object)> =
        fresh.iter().map(|(label, object)| (object.id, (*label, *object))).collect();
    for (label, old) in before {
        match now.get(label) {
            Some(new) => changed(label, old, new, &mut events),
            None => match by_id.remove(&old.id) {
                Some((label_now, new)) => {
                    // A constraint of a table that was renamed keeps its own name.
                    if old.name != new.name {
                        events.push(event(format!("{label} name"), Some(&old.name), Some(&new.name)));
                    }
                    changed(label_now, old, new, &mut events);
                }
                None => events.push(event(label.clone(), Some(&whole(old)), None)),
            },
        }
    }
    for (label, new) in fresh {
        if by_id.contains_key(&new.id) {
            events.push(event(label.clone(), None, Some(&whole(new))));
        }
    }
    if let Some(more) = events.len().checked_sub(MOST_EVENTS).filter(|more| *more > 0) {
        events.truncate(MOST_EVENTS);
        events.push(event(String::from("database"), None, Some(&format!("{more} more changes at once"))));
    }
    events
}

/// What differs between two looks at one object.
fn changed(label: &str, old: &Object, new: &Object, events: &mut Vec<Event>) {
    if old.hash == new.hash {
        return;
    }
    let told = events.len();
    if old.definition != new.definition {
        events.push(event(label.to_owned(), Some(&old.definition), Some(&new.definition)));
    }
    let (was, is) = (columns(old), columns(new));
    for (name, old) in &was {
        let new = is.get(name);
        if new != Some(old) {
            events.push(event(format!("{label} column {name}"), Some(old), new.copied()));
        }
    }
    for (name, new) in is.iter().filter(|(name, _)| !was.contains_key(*name)) {
        events.push(event(format!("{label} column {name}"), None, Some(new)));
    }
    // Operator classes, arguments of triggers, the order of columns: only their hash is known.
    if events.len() == told {
        let hashed = |object: &Object| format!("{} #{:x}", object.definition, object.hash);
        events.push(event(label.to_owned(), Some(&hashed(old)), Some(&hashed(new))));
    }
}

/// The columns by their names.
fn columns(object: &Object) -> BTreeMap<&str, &str> {
    object.columns.as_deref().unwrap_or_default().lines().map(split_name).collect()
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

/// An object with its columns, for one that came or went.
fn whole(object: &Object) -> String {
    match &object.columns {
        Some(columns) => format!("{} ({})", object.definition, columns.replace('\n', ", ")),
        None => object.definition.to_string(),
    }
}

fn event(object: String, old: Option<&str>, new: Option<&str>) -> Event {
    let cut = |text: &str| match text.char_indices().map(|(at, _)| at).find(|at| *at >= MOST_BYTES) {
        Some(end) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    };
    Event { kind: "schema", object, old: old.map(cut), new: new.map(cut) }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Look, Object, compare, split_name};

    fn object(oid: i64, name: &str, definition: &str, columns: Option<&str>) -> Object {
        let text = format!("{definition}{columns:?}");
        let hash = text.bytes().fold(7_i64, |hash, byte| hash.wrapping_mul(31) + i64::from(byte));
        let kept = if name.contains('.') { Kept::Class } else { Kept::Constraint };
        let columns = columns.map(Into::into);
        Object { id: (kept, oid), hash, name: name.into(), definition: definition.into(), columns }
    }

    fn told(before: &Look, now: &Look) -> Vec<(String, Option<String>, Option<String>)> {
        compare(before, now).into_iter().map(|event| (event.object, event.old, event.new)).collect()
    }

    #[test]
    fn names_of_columns_may_hold_anything() {
        assert_eq!(split_name("a integer not null"), ("a", "integer not null"));
        assert_eq!(split_name("\"a b\" text"), ("\"a b\"", "text"));
        assert_eq!(split_name("\"q\"\"x y\" text"), ("\"q\"\"x y\"", "text"));
        assert_eq!(split_name("\"never ends"), ("\"never ends", ""));
        assert_eq!(split_name(""), ("", ""));
    }

    #[test]
    fn what_was_made_anew_under_its_name_is_no_change() {
        let before = Look::from([("table public.t".into(), object(1, "public.t", "owner a", Some("a integer")))]);
        let now = Look::from([("table public.t".into(), object(2, "public.t", "owner a", Some("a integer")))]);
        assert!(told(&before, &now).is_empty());
    }

    #[test]
    fn a_rename_takes_its_constraints_along_in_silence() {
        let before = Look::from([
            ("table public.t".into(), object(1, "public.t", "owner a", Some("a integer"))),
            ("table public.t constraint c".into(), object(2, "c", "check (a)", None)),
        ]);
        let now = Look::from([
            ("table public.u".into(), object(1, "public.u", "owner a", Some("a integer"))),
            ("table public.u constraint c".into(), object(2, "c", "check (a)", None)),
        ]);
        let renamed = (String::from("table public.t name"), Some("public.t".into()), Some("public.u".into()));
        assert_eq!(told(&before, &now), [renamed]);
    }

    #[test]
    fn a_flood_is_told_as_a_number() {
        let many = |from: i64| -> Look {
            (from..from + 700).map(|n| (format!("table public.t{n}"), object(n, "", "owner a", None))).collect()
        };
        let events = told(&many(0), &many(1000));
        assert_eq!(events.len(), super::MOST_EVENTS + 1);
        assert_eq!(events[super::MOST_EVENTS].2.as_deref(), Some("400 more changes at once"));
    }
}
