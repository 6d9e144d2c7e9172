//! Queries that a program brings itself run in its own process.
//!
//! Workers protect a server from what strangers write. The texts of its own pages
//! are known beforehand, and only values come from outside: these need no process
//! of their own, and are answered with the caches of the whole server.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{query::SqlQuery, runner::SqlRunner, stream::RecordStream};
use crate::error::StoreError;

/// What stands for a whole number in a template.
const NUMBER: &str = "{n}";
/// Longest number that is taken for one.
const MAX_DIGITS: usize = 9;

/// Texts of queries that are known beforehand.
///
/// A text is known when it is one of the templates, letter for letter; `{n}` in a
/// template stands for a whole number of one to nine digits.
///
/// ```
/// let known = pganalytics_store::sql::TrustedQueries::new(["select {n} * value from m where name = $1"]);
/// assert!(known.contains("select 60 * value from m where name = $1"));
/// assert!(!known.contains("select 60 * value from m where name = 'x'"));
/// assert!(!known.contains("select 60 * value from m where name = $1 or true"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct TrustedQueries {
    /// Each template, cut where its numbers are.
    templates: Vec<Vec<String>>,
}

impl TrustedQueries {
    /// Knows these templates.
    pub fn new(templates: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let cut = |template: &str| template.split(NUMBER).map(str::to_owned).collect();
        Self { templates: templates.into_iter().map(|template| cut(template.as_ref())).collect() }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// Whether this text is known.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.templates.iter().any(|pieces| matches(pieces, text))
    }
}

fn matches(pieces: &[String], text: &str) -> bool {
    let Some((first, others)) = pieces.split_first() else { return false };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in others {
        let after = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        if !(1..=MAX_DIGITS).contains(&(rest.len() - after.len())) {
            return false;
        }
        let Some(next) = after.strip_prefix(piece.as_str()) else { return false };
        rest = next;
    }
    rest.is_empty()
}

/// Runs [known texts](TrustedQueries) with one runner, as
/// [`InProcess`](super::InProcess), and all others with another, as a
/// [`WorkerPool`](super::worker::WorkerPool). Known ones beyond `at_once` go to the
/// other as well: they wait no longer than they would without this.
pub struct TrustedInProcess {
    known: TrustedQueries,
    here: Arc<dyn SqlRunner>,
    others: Arc<dyn SqlRunner>,
    permits: Arc<Semaphore>,
}

impl fmt::Debug for TrustedInProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedInProcess").field("known", &self.known.templates.len()).finish_non_exhaustive()
    }
}

impl TrustedInProcess {
    /// Runs up to `at_once` known queries `here`, and all else with `others`.
    #[must_use]
    pub fn new(known: TrustedQueries, here: Arc<dyn SqlRunner>, others: Arc<dyn SqlRunner>, at_once: usize) -> Self {
        Self { known, here, others, permits: Arc::new(Semaphore::new(at_once)) }
    }
}

#[async_trait]
impl SqlRunner for TrustedInProcess {
    async fn run(&self, query: SqlQuery) -> Result<RecordStream, StoreError> {
        if self.known.contains(query.text())
            && let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned()
        {
            return Ok(self.here.run(query).await?.holding(permit));
        }
        self.others.run(query).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.others.check().await
    }

    fn place(&self) -> String {
        self.others.place()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;

    use pganalytics_core::TenantId;

    use super::*;
    use crate::sql::{SqlGuard, SqlPrincipal};

    #[test]
    fn only_the_very_text_is_known() {
        let known = TrustedQueries::new(["select $1", "sum(x) / {n}, '{n} seconds' from m"]);
        assert!(known.contains("select $1"));
        assert!(known.contains("sum(x) / 60, '60 seconds' from m"));
        assert!(known.contains("sum(x) / 1, '999999999 seconds' from m"));
        for strange in [
            "",
            "select $2",
            "select $1 ",
            "Select $1",
            "select $1; drop",
            "sum(x) / 60, '60 seconds' from m m",
            "sum(x) / , '60 seconds' from m",
            "sum(x) / -1, '60 seconds' from m",
            "sum(x) / 6e1, '60 seconds' from m",
            "sum(x) / 60, '1234567890 seconds' from m",
            "sum(x) / ٦, '60 seconds' from m",
            "sum(x) / {n}, '{n} seconds' from m",
        ] {
            assert!(!known.contains(strange), "{strange}");
        }
        assert!(TrustedQueries::default().is_empty() && !TrustedQueries::default().contains(""));
    }

    /// Fails with its name, so that it is seen who was asked; or never answers.
    struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>, bool);

    #[async_trait]
    impl SqlRunner for Named {
        async fn run(&self, _: SqlQuery) -> Result<RecordStream, StoreError> {
            self.1.lock().unwrap().push(self.0);
            if self.2 {
                std::future::pending::<()>().await;
            }
            Err(StoreError::Unavailable(self.0.to_owned()))
        }

        fn place(&self) -> String {
            self.0.to_owned()
        }
    }

    #[tokio::test]
    async fn known_texts_run_here_and_what_is_too_many_elsewhere() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let here = Arc::new(Named("here", Arc::clone(&asked), true));
        let others = Arc::new(Named("others", Arc::clone(&asked), false));
        let runner = Arc::new(TrustedInProcess::new(TrustedQueries::new(["select $1"]), here, others, 1));
        let query = |sql: &str| {
            let params = vec![crate::sql::SqlParam::Int(1)];
            SqlGuard::default().check(sql, params, SqlPrincipal::new(TenantId::DEFAULT)).unwrap()
        };
        assert!(runner.run(query("select $1 + 1")).await.is_err());
        let (mine, known) = (Arc::clone(&runner), query("select $1"));
        let first = tokio::spawn(async move { mine.run(known).await.map(drop) });
        while asked.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        // The one place here is taken.
        assert!(runner.run(query("select $1")).await.is_err());
        assert_eq!(*asked.lock().unwrap(), ["others", "here", "others"]);
        // Who goes gives it back.
        first.abort();
        assert!(first.await.is_err());
        let again = tokio::time::timeout(std::time::Duration::from_millis(50), runner.run(query("select $1"))).await;
        assert!(again.is_err(), "it runs here");
        assert_eq!(asked.lock().unwrap().last(), Some(&"here"));
    }
}
