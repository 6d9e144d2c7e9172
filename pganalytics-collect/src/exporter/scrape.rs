//! One scrape, from asking to the page.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use pganalytics_core::{Batch, catalog::Catalog};
use tokio::time::Instant;

use super::{
    drop_in::{self, FamilyWriter},
    http::Listener,
    own,
    page::{Format, Page, Seen},
    page_contents::{PageContents, PageKind},
    server_view::ServerView,
    settings::ExporterSettings,
    text::Labels,
};
use crate::{
    error::CollectError,
    latest::{LastVisit, Latest, LatestBatch, refresh::refresh},
};

/// What nobody renewed for this long is not served, or for twice its interval.
const STALE: Duration = Duration::from_secs(300);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ScrapeRequest {
    pub(super) topic: PageKind,
    /// Only this server.
    pub(super) server: Option<Arc<str>>,
    pub(super) format: Format,
}

/// Addresses of servers by their names.
type Known = BTreeMap<Arc<str>, Arc<str>>;
type InFlight = Shared<BoxFuture<'static, Bytes>>;

/// Serves what agents collect to Prometheus; see [the module](super).
#[derive(Clone)]
pub struct Exporter {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ExporterSettings,
    latest: Latest,
    /// What the two pages have; exchanged with the catalog.
    postgres: Mutex<Arc<PageContents>>,
    pgbouncer: Mutex<Arc<PageContents>>,
    /// Names and addresses of the watched servers and poolers.
    servers: Mutex<Known>,
    poolers: Mutex<Known>,
    started: f64,
    scrapes: AtomicU64,
    /// Scrapes that run: who comes meanwhile waits for the same page.
    flights: Mutex<HashMap<ScrapeRequest, InFlight>>,
    /// A page and its memory, to be used again.
    spare: Mutex<HashMap<PageKind, Spare>>,
}

struct Spare {
    contents: Arc<PageContents>,
    page: Page,
    seen: Vec<Seen>,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Exporter {
    /// An exporter of the measurements of this catalog.
    #[must_use]
    pub fn new(settings: ExporterSettings, catalog: &Catalog) -> Self {
        let contents = |topic| Mutex::new(Arc::new(PageContents::new(topic, catalog, &settings)));
        let latest = Latest::new();
        if settings.drop_in && settings.collectors.iter().any(|collector| collector == drop_in::TEXTS) {
            latest.keep_texts();
        }
        let inner = Inner {
            postgres: contents(PageKind::Postgres),
            pgbouncer: contents(PageKind::Pgbouncer),
            latest,
            servers: Mutex::default(),
            poolers: Mutex::default(),
            started: wall_clock(),
            scrapes: AtomicU64::new(0),
            flights: Mutex::default(),
            spare: Mutex::default(),
            settings,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Names a watched PostgreSQL server: it is told of as down before it was
    /// reached once.
    #[must_use]
    pub fn server(self, name: &str, address: &str) -> Self {
        self.inner.name(PageKind::Postgres, name, address);
        self
    }

    /// Names a watched PgBouncer.
    #[must_use]
    pub fn pooler(self, name: &str, address: &str) -> Self {
        self.inner.name(PageKind::Pgbouncer, name, address);
        self
    }

    /// Goes on with another catalog.
    pub fn adopt(&self, catalog: &Catalog) {
        for topic in [PageKind::Postgres, PageKind::Pgbouncer] {
            let contents = Arc::new(PageContents::new(topic, catalog, &self.inner.settings));
            *self.inner.place(topic).lock().unwrap_or_else(PoisonError::into_inner) = contents;
        }
    }

    /// What it serves; a scheduler fills it.
    #[must_use]
    pub fn latest(&self) -> &Latest {
        &self.inner.latest
    }

    /// Opens the listeners.
    ///
    /// # Errors
    /// When an address can't be listened on, or a certificate can't be read.
    pub async fn listen(&self) -> Result<Vec<Listener>, CollectError> {
        let settings = &self.inner.settings;
        let pages = [(PageKind::Postgres, settings.listen), (PageKind::Pgbouncer, settings.pgbouncer_listen)];
        let mut listeners = Vec::new();
        for (topic, listen) in pages {
            let Some(listen) = listen else { continue };
            match Listener::bind(self.clone(), topic, listen.address).await {
                Ok(listener) => listeners.push(listener),
                Err(error) if listen.required => return Err(error),
                Err(error) => tracing::warn!("the exporter is off there: {error}"),
            }
        }
        Ok(listeners)
    }

    pub(super) fn settings(&self) -> &ExporterSettings {
        &self.inner.settings
    }

    pub(super) fn names(&self, topic: PageKind) -> Vec<Arc<str>> {
        self.inner.known(topic).keys().cloned().collect()
    }

    /// The page. Whoever asks for the same while it is made gets it too.
    pub(super) async fn scrape(&self, wish: ScrapeRequest, timeout: Duration) -> Bytes {
        let flight = {
            let mut flights = self.inner.flights.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| flight.peek().is_none());
            flights.entry(wish.clone()).or_insert_with(|| self.begin(wish, timeout)).clone()
        };
        flight.await
    }

    /// A task of its own: it goes on when its first client is gone.
    fn begin(&self, wish: ScrapeRequest, timeout: Duration) -> InFlight {
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let settings = &inner.settings;
            let deadline = began + timeout.min(settings.timeout);
            let wanted = Arc::clone(&inner.contents(wish.topic).wanted);
            let in_time = refresh(&inner.latest, &wanted, wish.server.as_deref(), settings.max_age, deadline).await;
            let inner = Arc::clone(&inner);
            let made = tokio::task::spawn_blocking(move || inner.page(&wish, began, in_time)).await;
            made.unwrap_or_default()
        });
        async move { task.await.unwrap_or_default() }.boxed().shared()
    }
}

impl Inner {
    fn contents(&self, topic: PageKind) -> Arc<PageContents> {
        Arc::clone(&self.place(topic).lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn place(&self, topic: PageKind) -> &Mutex<Arc<PageContents>> {
        match topic {
            PageKind::Postgres => &self.postgres,
            PageKind::Pgbouncer => &self.pgbouncer,
        }
    }

    fn servers_of(&self, topic: PageKind) -> MutexGuard<'_, Known> {
        let servers = match topic {
            PageKind::Postgres => &self.servers,
            PageKind::Pgbouncer => &self.poolers,
        };
        servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, topic: PageKind, name: &str, address: &str) {
        self.servers_of(topic).insert(name.into(), address.into());
    }

    fn known(&self, topic: PageKind) -> Known {
        self.servers_of(topic).clone()
    }

    fn page(&self, wish: &ScrapeRequest, began: Instant, in_time: bool) -> Bytes {
        let contents = self.contents(wish.topic);
        self.latest.forget(stale_after);
        let known = self.known(wish.topic);
        let views = self.views(wish, &contents, &known, began);
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).remove(&wish.topic);
        let (mut page, mut seen) = match spare.filter(|spare| Arc::ptr_eq(&spare.contents, &contents)) {
            Some(spare) => (spare.page, spare.seen),
            None => (Page::default(), contents.seen()),
        };
        page.clear();
        seen.iter_mut().for_each(Seen::clear);
        let mut labels = Labels::default();
        let mut failed = !in_time;
        for (name, view) in &views {
            contents.write(view, &mut page, &mut seen, self.settings.max_series);
            if known.contains_key(name) {
                failed |= !view.up;
                if wish.topic == PageKind::Postgres {
                    own::server(view, &contents, &mut FamilyWriter { page: &mut page, labels: &mut labels });
                }
            }
        }
        let scrape = own::Scrape {
            seconds: began.elapsed().as_secs_f64(),
            failed,
            count: self.scrapes.fetch_add(1, Ordering::Relaxed) + 1,
            started: self.started,
        };
        own::exporter(
            wish.topic,
            self.settings.drop_in,
            &scrape,
            &mut FamilyWriter { page: &mut page, labels: &mut labels },
        );
        let bytes = Bytes::from(page.render(wish.format));
        drop(views);
        let spare = Spare { contents, page, seen };
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).insert(wish.topic, spare);
        bytes
    }

    /// What there is of each server.
    fn views<'a>(
        &'a self,
        wish: &ScrapeRequest,
        contents: &'a PageContents,
        known: &'a Known,
        began: Instant,
    ) -> BTreeMap<Arc<str>, ServerView<'a>> {
        let several = known.len() > 1 && wish.server.is_none();
        let is_asked = |server: &Arc<str>| wish.server.as_ref().is_none_or(|asked| asked == server);
        let new = |server: &Arc<str>| ServerView {
            label: several.then(|| Arc::clone(server)),
            address: known.get(server).map_or("", AsRef::as_ref),
            now: wall_clock(),
            ..ServerView::default()
        };
        let mut views: BTreeMap<Arc<str>, ServerView<'a>> =
            known.keys().filter(|server| is_asked(server)).map(|server| (Arc::clone(server), new(server))).collect();
        let mut names: Vec<&'a str> = contents.wanted.iter().map(pganalytics_core::MeasurementName::as_str).collect();
        names.sort_unstable();
        let name_of = |name: &str| names.binary_search(&name).ok().and_then(|at| names.get(at).copied());
        self.latest.with(|state| {
            let mut kept: Vec<_> = state.kept.iter().filter(|(place, _)| is_asked(&place.server)).collect();
            // The first of two equal series wins: always the same one.
            kept.sort_unstable_by_key(|(place, _)| *place);
            for (place, kept) in kept {
                let Some(name) = name_of(place.measurement.as_str()) else { continue };
                let view = views.entry(Arc::clone(&place.server)).or_insert_with(|| new(&place.server));
                view.kept.entry(name).or_default().push(LatestBatch { batch: Arc::clone(&kept.batch), at: kept.at });
            }
            for (place, account) in &state.accounts {
                let Some(name) = name_of(place.measurement.as_str()) else { continue };
                if let Some(view) = views.get_mut(&place.server) {
                    let account: LastVisit = *account;
                    view.accounts.entry(name).or_default().push(account);
                }
            }
        });
        let oldest = self.settings.max_age;
        for view in views.values_mut() {
            let up = view.row(wish.topic.up()).and_then(|row| row.number("up"));
            // It answered this scrape, or lately enough that nobody asked again.
            let fresh = view.batches(wish.topic.up()).iter().any(|kept| kept.at + oldest >= began);
            view.up = fresh && up.is_some_and(|up| up.as_f64() == 1.0);
        }
        views
    }
}

fn stale_after(batch: &Batch) -> Duration {
    STALE.max(Duration::from_micros(batch.scrape.interval_micros).saturating_mul(2))
}

fn wall_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
