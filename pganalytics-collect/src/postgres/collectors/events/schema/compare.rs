//! What differs between two looks.

use std::{cmp::Ordering, collections::HashMap};

use super::{
    Event,
    look::{CatalogTable, Label, Object, SchemaRows},
};

/// Events of one look; the rest are told as a number.
pub(super) const MOST_EVENTS: usize = 1000;

/// Bytes of a definition that an event tells.
const MOST_BYTES: usize = 8192;

/// What was found.
#[derive(Default)]
pub(super) struct Changes {
    events: Vec<Event>,
    /// Events beyond the most that are told.
    more: usize,
    /// Objects whose name or OID is another, which no event says.
    anew: bool,
}

impl Changes {
    /// Whether the two looks are the same in everything.
    pub(super) fn none(&self) -> bool {
        self.events.is_empty() && !self.anew
    }

    pub(super) fn events(mut self) -> Vec<Event> {
        if self.more > 0 {
            let new = Some(format!("{} more changes at once", self.more));
            self.events.push(Event { kind: "schema", object: String::from("database"), old: None, new });
        }
        self.events
    }

    /// Texts are only made of what is told.
    fn add(&mut self, texts: impl FnOnce() -> (String, Option<String>, Option<String>)) {
        if self.events.len() == MOST_EVENTS {
            self.more += 1;
            return;
        }
        let (object, old, new) = texts();
        self.events.push(Event { kind: "schema", object, old: old.map(cut), new: new.map(cut) });
    }

    /// What differs between two looks at one object.
    fn add_changed(&mut self, old: &Object<'_>, new: &Object<'_>) {
        if old.hash == new.hash {
            return;
        }
        let label = new.label;
        let mut told = false;
        if old.definition != new.definition {
            told = true;
            self.add(|| (label.to_string(), Some(old.definition.to_owned()), Some(new.definition.to_owned())));
        }
        let (was, is) = (old.columns(), new.columns());
        for (name, old) in &was {
            let new = is.get(name);
            if new != Some(old) {
                told = true;
                self.add_column(label, name, Some(old), new.copied());
            }
        }
        for (name, new) in is.iter().filter(|(name, _)| !was.contains_key(*name)) {
            told = true;
            self.add_column(label, name, None, Some(new));
        }
        // Operator classes, arguments of triggers, the order of columns: only their hash is known.
        if !told {
            let hashed = |object: &Object<'_>| Some(format!("{} #{:x}", object.definition, object.hash));
            self.add(|| (label.to_string(), hashed(old), hashed(new)));
        }
    }

    fn add_column(&mut self, label: Label<'_>, name: &str, old: Option<&str>, new: Option<&str>) {
        self.add(|| (format!("{label} column {name}"), old.map(str::to_owned), new.map(str::to_owned)));
    }
}

/// `before` and `now` are of one database.
pub(super) fn compare(before: &SchemaRows<'_>, now: &SchemaRows<'_>) -> Changes {
    let mut changes = Changes::default();
    let (mut unlike, mut fresh) = (Vec::new(), Vec::new());
    let (mut olds, mut news) = (before.objects().peekable(), now.objects().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (Some(old), Some(new)) => old.label.cmp(&new.label),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        let old = if order.is_le() { olds.next() } else { None };
        let new = if order.is_ge() { news.next() } else { None };
        match (old, new) {
            (Some(old), Some(new)) if old.hash == new.hash => changes.anew |= old.id != new.id,
            (Some(old), new) => unlike.push((old.row, new.map(|new| new.row))),
            (None, Some(new)) => fresh.push(new.row),
            (None, None) => break,
        }
    }
    let mut by_id: HashMap<(CatalogTable, i64), u32> = fresh.iter().map(|&row| (now.object(row).id, row)).collect();
    for (old, new) in unlike {
        let old = before.object(old);
        if let Some(new) = new {
            changes.add_changed(&old, &now.object(new));
            continue;
        }
        let Some(new) = by_id.remove(&old.id) else {
            changes.add(|| (old.label.to_string(), Some(old.whole()), None));
            continue;
        };
        let new = now.object(new);
        // A constraint of a table that was renamed keeps its own name.
        let (was, is) = (old.label.own_name(), new.label.own_name());
        if was != is {
            changes.add(|| (format!("{} name", old.label), Some(was), Some(is)));
        }
        changes.anew = true;
        changes.add_changed(&old, &new);
    }
    for new in fresh.into_iter().map(|row| now.object(row)).filter(|new| by_id.contains_key(&new.id)) {
        changes.add(|| (new.label.to_string(), None, Some(new.whole())));
    }
    changes
}

fn cut(mut text: String) -> String {
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        text.push('…');
    }
    text
}
