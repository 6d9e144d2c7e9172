//! A page of families, as Prometheus reads it.

use std::{collections::HashMap, sync::Arc};

use hashbrown::{HashTable, hash_table::Entry};

use super::text::{Labels, Number, help, number};

/// What kind of figure a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Untyped,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Untyped => "untyped",
        }
    }
}

/// A family: its name, type and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) help: String,
}

impl Meta {
    pub(super) fn new(name: impl Into<String>, kind: Kind, help: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), kind, help: help.into() })
    }
}

/// How the page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Label hashes that stood already.
#[derive(Debug, Default)]
pub(super) struct Seen(HashTable<u64>);

impl Seen {
    /// Whether these labels are new.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        match self.0.entry(hash, |seen| *seen == hash, |seen| *seen) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(hash);
                true
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[derive(Debug)]
struct Family {
    meta: Arc<Meta>,
    body: Vec<u8>,
    overflow: u64,
}

/// A family of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FamilyId(usize);

/// The families of one scrape. Its buffers are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Page {
    families: Vec<Family>,
    by_name: HashMap<String, usize>,
    seen: Seen,
}

impl Page {
    /// Forgets the samples, not the families.
    pub(super) fn clear(&mut self) {
        for family in &mut self.families {
            family.body.clear();
            family.overflow = 0;
        }
        self.seen.clear();
    }

    /// The family of this name. The first that brings a name decides its type
    /// and help; `None` for a later one that has another type.
    pub(super) fn family(&mut self, meta: &Arc<Meta>) -> Option<FamilyId> {
        self.find(&meta.name, meta.kind, || Arc::clone(meta))
    }

    /// The same for a name that is made while the page is written.
    pub(super) fn family_named(&mut self, name: &str, kind: Kind, help: &str) -> Option<FamilyId> {
        self.find(name, kind, || Meta::new(name, kind, help))
    }

    fn find(&mut self, name: &str, kind: Kind, meta: impl FnOnce() -> Arc<Meta>) -> Option<FamilyId> {
        if let Some(&at) = self.by_name.get(name) {
            let same = self.families.get(at).is_some_and(|family| family.meta.kind == kind);
            return same.then_some(FamilyId(at));
        }
        let at = self.families.len();
        self.families.push(Family { meta: meta(), body: Vec::new(), overflow: 0 });
        self.by_name.insert(name.to_owned(), at);
        Some(FamilyId(at))
    }

    /// Writes a sample whose labels are known to be new.
    pub(super) fn push(&mut self, family: FamilyId, labels: &Labels, value: Number) {
        self.write(family, "", labels, value);
    }

    fn write(&mut self, family: FamilyId, suffix: &str, labels: &Labels, value: Number) {
        let Some(Family { meta, body, .. }) = self.families.get_mut(family.0) else { return };
        body.extend_from_slice(meta.name.as_bytes());
        body.extend_from_slice(suffix.as_bytes());
        if !labels.as_bytes().is_empty() {
            body.push(b'{');
            body.extend_from_slice(labels.as_bytes());
            body.push(b'}');
        }
        body.push(b' ');
        number(body, value);
        body.push(b'\n');
    }

    /// Writes a sample of a family that has few; the second of the same labels
    /// is left out. `suffix` is for the parts of a histogram.
    pub(super) fn add(&mut self, family: FamilyId, suffix: &str, labels: &Labels, value: Number) {
        let name =
            xxhash_rust::xxh3::xxh3_64(suffix.as_bytes()) ^ (family.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if self.seen.insert(labels.hash() ^ name) {
            self.write(family, suffix, labels, value);
        }
    }

    /// Counts series that were left out.
    pub(super) fn overflow(&mut self, family: FamilyId, by: u64) {
        if let Some(family) = self.families.get_mut(family.0) {
            family.overflow += by;
        }
    }

    /// Families that left out series, and how many.
    pub(super) fn overflows(&self) -> Vec<(String, u64)> {
        let over = self.families.iter().filter(|family| family.overflow > 0);
        over.map(|family| (family.meta.name.clone(), family.overflow)).collect()
    }

    /// The page in order of names.
    pub(super) fn render(&self, format: Format) -> Vec<u8> {
        let mut families: Vec<&Family> = self.families.iter().filter(|family| !family.body.is_empty()).collect();
        families.sort_unstable_by(|a, b| a.meta.name.cmp(&b.meta.name));
        let size: usize = families
            .iter()
            .map(|family| family.body.len() + 2 * family.meta.name.len() + family.meta.help.len() + 64)
            .sum();
        let mut out = Vec::with_capacity(size);
        for family in families {
            self.head(&mut out, &family.meta, format);
            out.extend_from_slice(&family.body);
        }
        if format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        out
    }

    fn head(&self, out: &mut Vec<u8>, meta: &Meta, format: Format) {
        let (name, kind) = match format {
            Format::Text => (meta.name.as_str(), meta.kind.word()),
            Format::OpenMetrics => self.open_metrics_name(meta),
        };
        if !meta.help.is_empty() {
            line(out, "HELP", name);
            help(out, &meta.help, format == Format::OpenMetrics);
            out.push(b'\n');
        }
        line(out, "TYPE", name);
        out.extend_from_slice(kind.as_bytes());
        out.push(b'\n');
        let unit = ["seconds", "bytes", "ratio"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
        if let (Format::OpenMetrics, Some(unit)) = (format, unit) {
            line(out, "UNIT", name);
            out.extend_from_slice(unit.as_bytes());
            out.push(b'\n');
        }
    }

    /// In OpenMetrics a counter's family has no `_total` and its samples have.
    /// Old names that break this are of unknown type there, under their name.
    fn open_metrics_name<'m>(&self, meta: &'m Meta) -> (&'m str, &'static str) {
        match meta.kind {
            Kind::Counter => match meta.name.strip_suffix("_total") {
                Some(base) if !self.by_name.contains_key(base) => (base, "counter"),
                _ => (&meta.name, "unknown"),
            },
            Kind::Untyped => (&meta.name, "unknown"),
            kind => (&meta.name, kind.word()),
        }
    }
}

fn line(out: &mut Vec<u8>, what: &str, name: &str) {
    for part in ["# ", what, " ", name, " "] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(page: &mut Page, meta: &Arc<Meta>, labels: &Labels, value: Number) {
        if let Some(family) = page.family(meta) {
            page.add(family, "", labels, value);
        }
    }

    fn text(page: &Page, format: Format) -> String {
        String::from_utf8(page.render(format)).unwrap_or_default()
    }

    #[test]
    fn a_page_is_in_order_and_has_no_series_twice() {
        let mut page = Page::default();
        let (b, a) = (Meta::new("b_total", Kind::Counter, "Bs"), Meta::new("a_bytes", Kind::Gauge, ""));
        let mut labels = Labels::default();
        add(&mut page, &a, &labels, Number::Float(1.5));
        labels.add("x", "1");
        add(&mut page, &b, &labels, Number::Int(1));
        add(&mut page, &b, &labels, Number::Int(2));
        // Another type under a name that stands already is left out.
        add(&mut page, &Meta::new("a_bytes", Kind::Counter, ""), &labels, Number::Int(3));
        let expected =
            "# TYPE a_bytes gauge\na_bytes 1.5\n# HELP b_total Bs\n# TYPE b_total counter\nb_total{x=\"1\"} 1\n";
        assert_eq!(text(&page, Format::Text), expected);
        let expected = "# TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes 1.5\n# HELP b Bs\n# TYPE b counter\n\
                        b_total{x=\"1\"} 1\n# EOF\n";
        assert_eq!(text(&page, Format::OpenMetrics), expected);
        page.clear();
        assert_eq!(text(&page, Format::Text), "");
    }

    #[test]
    fn names_that_open_metrics_can_not_have_are_of_unknown_type() {
        let mut page = Page::default();
        for name in ["x", "x_total", "y_total"] {
            add(&mut page, &Meta::new(name, Kind::Counter, ""), &Labels::default(), Number::Int(1));
        }
        let expected = "# TYPE x unknown\nx 1\n# TYPE x_total unknown\nx_total 1\n# TYPE y counter\ny_total 1\n# EOF\n";
        assert_eq!(text(&page, Format::OpenMetrics), expected);
    }
}
