//! What `check` tells: how well each part works, why, and what mends it.
//!
//! A [`Section`] is one part: a watched server, this host, a pooler, the folder of
//! catalog files. Whoever adds a part makes a section of it.

use std::time::Duration;

use serde::Serialize;

use crate::collector::{Outcome, Report};

/// How well something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should.
    Works,
    /// In part, or at a cost.
    Degraded,
    /// Not at all.
    Off,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Degraded => "degraded",
            Self::Off => "off",
        }
    }
}

/// Something about a part as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `connection`, `role`, `pg_monitor`, `extensions`, `pooler`, `databases`…
    pub about: &'static str,
    /// How well it works.
    pub state: State,
    /// What was found.
    pub message: String,
    /// What to do, as exactly as can be said. Where SQL does it, this is a script
    /// for `psql`, run by a superuser; comments say what is done elsewhere.
    pub fix: Option<String>,
}

/// What became of one measurement at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeasurementCheck {
    /// Its name.
    pub measurement: String,
    /// The database; `None` for what a cluster has once.
    pub database: Option<String>,
    /// How well it works.
    pub state: State,
    /// Rows that it brought.
    pub rows: usize,
    /// Why it does not work, or what is missing.
    pub why: Option<String>,
    /// What mends it, as in [`Finding::fix`]. `None` for what is off: it is not
    /// to be had here.
    pub fix: Option<String>,
    /// Whether it should have worked here: a fault to be mended, unlike what
    /// this server can't have.
    pub failed: bool,
    /// How long it took.
    #[serde(rename = "elapsed_ms", serialize_with = "millis")]
    pub elapsed: Duration,
}

impl MeasurementCheck {
    /// Whether this place has no such thing, and nothing can be done about it: an
    /// older version, a standby…
    #[must_use]
    pub fn out_of_reach(&self) -> bool {
        self.state == State::Off && !self.failed && self.fix.is_none()
    }

    /// It works in part only, or even less: for this reason, mended so.
    #[cfg(feature = "postgres")]
    pub(crate) fn degrade(&mut self, why: &str, fix: &str) {
        self.state = self.state.max(State::Degraded);
        let join = |old: &mut Option<String>, new: &str, between: &str| match old {
            Some(old) if old.contains(new) => {}
            Some(old) => *old = format!("{old}{between}{new}"),
            None => *old = Some(new.to_owned()),
        };
        join(&mut self.why, why, "; ");
        join(&mut self.fix, fix, "\n");
    }
}

impl From<Report> for MeasurementCheck {
    fn from(report: Report) -> Self {
        let failed = matches!(report.outcome, Outcome::Failed { .. });
        let (state, rows, why) = match report.outcome {
            Outcome::Collected { rows } => (State::Works, rows, None),
            Outcome::Unsupported { reason } => (State::Off, 0, Some(reason)),
            Outcome::Skipped { reason } => (State::Degraded, 0, Some(reason)),
            Outcome::Failed { message } => (State::Off, 0, Some(message)),
        };
        Self {
            measurement: report.measurement.to_string(),
            database: report.source.and_then(|source| source.database).as_deref().map(str::to_owned),
            state,
            rows,
            why,
            fix: None,
            failed,
            elapsed: report.elapsed,
        }
    }
}

fn millis<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e3)
}

/// A part that was tried: a watched server, this host…
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// What kind of part: `postgres`, `host`, `pgbouncer`…
    pub kind: &'static str,
    /// Its name, for people.
    pub name: String,
    /// Where it was looked for, where there is such a place.
    pub address: Option<String>,
    /// What concerns it as a whole.
    pub findings: Vec<Finding>,
    /// Each of its measurements at each place.
    pub measurements: Vec<MeasurementCheck>,
}

impl Section {
    /// A part of which nothing is known yet.
    #[must_use]
    pub fn new(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), address: None, findings: Vec::new(), measurements: Vec::new() }
    }

    /// Adds what was found.
    pub fn find(&mut self, about: &'static str, state: State, message: impl Into<String>, fix: Option<String>) {
        self.findings.push(Finding { about, state, message: message.into(), fix });
    }

    /// Adds what became of its measurements.
    pub fn report(&mut self, reports: impl IntoIterator<Item = Report>) {
        self.measurements.extend(reports.into_iter().map(MeasurementCheck::from));
    }

    /// Whether something is wrong that should be mended. What can't be had, or
    /// works in part only, is not.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.state == State::Off)
            || self.measurements.iter().any(|check| check.failed)
    }

    /// How well it works as a whole: in part only, where a measurement that could
    /// be had is missing.
    #[must_use]
    pub fn worst(&self) -> State {
        let measurements = self.measurements.iter().filter(|check| !check.out_of_reach());
        let measurements = measurements.map(|check| check.state.min(State::Degraded));
        self.findings.iter().map(|finding| finding.state).chain(measurements).max().unwrap_or(State::Works)
    }
}
