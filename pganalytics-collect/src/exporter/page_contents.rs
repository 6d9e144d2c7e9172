//! What one of the exporter's two pages has: its groups, and what they read.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use pganalytics_core::{
    MeasurementName,
    catalog::{Catalog, Measurement, Scope},
};

use super::{
    drop_in::{self, CustomFamily, FamilyWriter, Mapped},
    group::Group,
    native,
    page::{Page, Seen},
    server_view::ServerView,
    settings::ExporterSettings,
    text::Labels,
};

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PageKind {
    /// PostgreSQL, the host, the agent.
    Postgres,
    /// PgBouncer.
    Pgbouncer,
}

impl PageKind {
    /// The measurement that says whether a server of it is up.
    pub(super) fn up(self) -> &'static str {
        match self {
            Self::Postgres => "pg_up",
            Self::Pgbouncer => "pgbouncer_up",
        }
    }

    fn includes(self, measurement: &Measurement) -> bool {
        (measurement.scope() == Scope::Pooler) == (self == Self::Pgbouncer)
    }
}

/// The families of a page and where they come from.
pub(super) struct PageContents {
    groups: Vec<Group>,
    made: Vec<&'static CustomFamily>,
    /// What they read.
    pub(super) wanted: Arc<HashSet<MeasurementName>>,
    /// The measurements behind each part of the drop-in names.
    pub(super) collectors: BTreeMap<String, BTreeSet<String>>,
}

impl PageContents {
    pub(super) fn new(topic: PageKind, catalog: &Catalog, settings: &ExporterSettings) -> Self {
        let (mapped, made) = match topic {
            PageKind::Postgres => (&drop_in::mapped().0, drop_in::POSTGRES),
            PageKind::Pgbouncer => (&drop_in::mapped().1, drop_in::PGBOUNCER),
        };
        let on = |collector: &str| settings.drop_in && is_on(collector, &settings.collectors);
        let mapped: Vec<&Mapped> = mapped.iter().filter(|mapped| on(&mapped.collector)).collect();
        let made: Vec<&'static CustomFamily> = made.iter().filter(|made| on(made.collector)).collect();
        let mut collectors: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for mapped in &mapped {
            collectors.entry(mapped.collector.clone()).or_default().insert(mapped.group.measurement.clone());
        }
        for made in &made {
            let measurements = made.measurements.iter().map(|&name| name.to_owned());
            collectors.entry(made.collector.to_owned()).or_default().extend(measurements);
        }
        // These are names of our own that no dashboard looks for as collectors.
        collectors.retain(|name, _| !matches!(name.as_str(), "static" | "stack" | "stat_database_conflicts"));

        let mut groups: Vec<Group> = mapped.iter().map(|mapped| mapped.group.clone()).collect();
        if settings.native {
            let taken = taken(&groups, &made);
            let wanted = catalog.iter().filter(|measurement| topic.includes(measurement));
            let wanted =
                wanted.filter(|measurement| !settings.exclude.iter().any(|name| name == measurement.name().as_str()));
            groups.extend(wanted.flat_map(|measurement| native::groups(measurement, &taken)));
        }
        let read = groups.iter().map(|group| group.measurement.as_str());
        let read = read.chain(made.iter().flat_map(|made| made.measurements.iter().copied())).chain([topic.up()]);
        let wanted = read.filter_map(|name| MeasurementName::new(name).ok()).collect();
        Self { groups, made, wanted: Arc::new(wanted), collectors }
    }

    /// Memory of the series of each group, for one page.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.groups.iter().map(|_| Seen::default()).collect()
    }

    /// Writes what one server has.
    pub(super) fn write(&self, view: &ServerView<'_>, page: &mut Page, seen: &mut [Seen], budget: usize) {
        let mut labels = Labels::default();
        for (group, seen) in self.groups.iter().zip(seen) {
            group.write(view, page, seen, &mut labels, budget);
        }
        for made in &self.made {
            (made.make)(view, &mut FamilyWriter { page, labels: &mut labels });
        }
    }
}

fn is_on(collector: &str, asked: &[String]) -> bool {
    let named = |word: &str| asked.iter().any(|asked| asked == word);
    if drop_in::OFF.contains(&collector) { named(collector) } else { !named(&format!("-{collector}")) }
}

/// Names that the drop-in set has.
fn taken(groups: &[Group], made: &[&CustomFamily]) -> HashSet<String> {
    let families = groups.iter().flat_map(|group| &group.metrics).map(|metric| metric.meta.name.clone());
    let mut taken: HashSet<String> = families.collect();
    // Whether a server is up is the exporter's to say, whatever names it has.
    taken.insert(String::from("pg_up"));
    if !made.is_empty() {
        taken.extend(drop_in::MADE_NAMES.iter().map(|&name| name.to_owned()));
    }
    taken
}

/// Names of the collectors that settings may name.
pub(super) fn collectors() -> BTreeSet<String> {
    let (postgres, pgbouncer) = drop_in::mapped();
    let mapped = postgres.iter().chain(pgbouncer).map(|mapped| mapped.collector.clone());
    let made = drop_in::POSTGRES.iter().chain(drop_in::PGBOUNCER).map(|made| made.collector.to_owned());
    mapped.chain(made).collect()
}
