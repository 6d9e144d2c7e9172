//! The server: built of its parts, served or nested.

use std::{
    fmt,
    sync::{Arc, Once, atomic::AtomicBool},
    time::Instant,
};

use axum::{Router, middleware::from_fn_with_state};
use pganalytics_core::{Secret, catalog::Catalog};
use pganalytics_store::{
    MetaStore, MetricStore,
    meta_store::Role,
    sql::{InProcess, Mending, PerPrincipal, SqlGuard, SqlLimits, SqlRunner, TrustedInProcess, TrustedQueries},
};
use utoipa::openapi::OpenApi;

use crate::{
    admin,
    api::{self, answer::Answers, setup},
    auth::{
        authenticate::TokenCache,
        key_store,
        lockout::Lockout,
        password::{self, Passwords},
        random,
        routes::RouteEntry,
    },
    edge::edge,
    error::ServerError,
    ingest::{
        admission::Admission, decoders::Decoders, numbers::KnownNumbers, schemas::KnownSchemas, senders::Senders,
    },
    prometheus::Counters,
    rate::{RateLimits, Rates},
    settings::{FirstAdmin, Settings},
    state::{App, Shared},
    ui,
};

/// Queries of the web UI that run in this process at once; more go where people's do.
const OWN_AT_ONCE: usize = 2;

/// Collects what a [`Server`] needs.
#[derive(Default)]
pub struct ServerBuilder {
    metrics: Option<Arc<dyn MetricStore>>,
    meta: Option<Arc<dyn MetaStore>>,
    catalog: Option<Arc<Catalog>>,
    sql: Option<Arc<dyn SqlRunner>>,
    settings: Settings,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// Where metrics are kept.
    #[must_use]
    pub fn metric_store(mut self, store: Arc<dyn MetricStore>) -> Self {
        self.metrics = Some(store);
        self
    }

    /// Where users, tokens and collectors are kept.
    #[must_use]
    pub fn meta_store(mut self, store: Arc<dyn MetaStore>) -> Self {
        self.meta = Some(store);
        self
    }

    /// What runs people's SQL; default the metric store, [in this
    /// process](InProcess). On Linux, a server of strangers is better off with
    /// worker processes, `pganalytics_store::sql::worker`. The queries of the web
    /// UI in this program, whose texts are known, [run in this process][own] all the
    /// same, two at once.
    ///
    /// [own]: pganalytics_store::sql::TrustedInProcess
    #[must_use]
    pub fn sql_runner(mut self, runner: Arc<dyn SqlRunner>) -> Self {
        self.sql = Some(runner);
        self
    }

    /// The measurements that are known; default the built-in ones.
    #[must_use]
    pub fn catalog(mut self, catalog: Arc<Catalog>) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Settings.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The server. In an installation without users it makes the first one.
    ///
    /// # Errors
    /// When a store was not given or fails, or a setting is wrong.
    pub async fn build(self) -> Result<Server, ServerError> {
        self.settings.check()?;
        let metrics = self.metrics.ok_or(ServerError::Missing("a metric store"))?;
        let meta = self.meta.ok_or(ServerError::Missing("a meta store"))?;
        let catalog = self.catalog.unwrap_or_else(|| Arc::new(Catalog::builtin().clone()));
        let settings = self.settings;
        let signer = key_store::signer(&*meta, &settings).await?;
        let first_admin = make_first_admin(&*meta, &settings.first_admin).await?;
        let setup_token = setup_token(&*meta, &settings).await?;
        let limits =
            SqlLimits { max_rows: settings.query.max_rows, timeout: settings.query.timeout, ..SqlLimits::default() };
        let guard = SqlGuard::new(limits).knowing(catalog.iter().map(|known| Arc::clone(known.schema())));
        let sql = runner(self.sql, Arc::clone(&metrics), ui::queries());
        tracing::info!("people's SQL runs {}", sql.place());
        let sql = Arc::new(PerPrincipal::new(sql, settings.query.at_once, settings.query.waiting));
        let answers = Arc::new(Answers::new(&settings.query));
        let app: App = Arc::new(Shared {
            sql,
            answers,
            metrics,
            meta,
            catalog,
            signer,
            passwords: Passwords::new().await?,
            lockout: Lockout::default(),
            tokens: TokenCache::default(),
            rates: Rates::new(settings.rate_limits),
            admission: Admission::new(&settings.ingest),
            decoders: Decoders::default(),
            senders: Senders::default(),
            schemas: KnownSchemas::default(),
            numbers: KnownNumbers::default(),
            guard,
            counters: Counters::default(),
            health: api::health::HealthCache::default(),
            started: Instant::now(),
            draining: AtomicBool::new(false),
            setup_token: setup_token.clone(),
            proxy_warning: Once::new(),
            settings,
        });
        let routes = api::routes(app.clone());
        let document = routes.document();
        let (router, entries) = api::pages(routes).finish();
        // Also for what no route takes: a stranger learns nothing from a 404.
        let router = router.fallback(not_found).layer(from_fn_with_state(app.clone(), edge));
        Ok(Server { app, router, routes: entries, document, first_admin, setup_token })
    }
}

/// Where queries run: people's with the runner that was given, the UI's own here.
fn runner(given: Option<Arc<dyn SqlRunner>>, store: Arc<dyn MetricStore>, own: TrustedQueries) -> Arc<dyn SqlRunner> {
    let here = Arc::new(InProcess::new(Arc::clone(&store)));
    let Some(given) = given else { return here };
    let people = Arc::new(Mending::new(given, store));
    if own.is_empty() { people } else { Arc::new(TrustedInProcess::new(own, here, people, OWN_AT_ONCE)) }
}

async fn not_found() -> http::StatusCode {
    http::StatusCode::NOT_FOUND
}

async fn make_first_admin(
    meta: &dyn MetaStore,
    first: &FirstAdmin,
) -> Result<Option<(String, Secret<String>)>, ServerError> {
    let (username, given) = match first {
        FirstAdmin::Setup => return Ok(None),
        FirstAdmin::Random => ("admin".to_owned(), None),
        FirstAdmin::Given { username, password } => (username.clone(), Some(password.clone())),
    };
    if let Some(password) = &given {
        let key = "PGANALYTICS_ADMIN_PASSWORD";
        password::refuse_weak(password, &username).map_err(|why| ServerError::setting(key, why))?;
        if !setup::is_username(&username) {
            return Err(ServerError::setting("PGANALYTICS_ADMIN_USERNAME", setup::USERNAME_RULE));
        }
    }
    let random = given.is_none();
    let (password, hash) = match given {
        Some(password) => {
            let hash = admin::hash(&password).await?;
            (password, hash)
        }
        None => admin::random_password().await?,
    };
    let made = meta.add_first_user(&setup::new_user(&username, hash, Role::Admin)).await?;
    Ok((made && random).then_some((username, password)))
}

/// The token of `/auth/setup`, while there is nobody who could log in.
async fn setup_token(meta: &dyn MetaStore, settings: &Settings) -> Result<Option<Secret<String>>, ServerError> {
    if !matches!(settings.first_admin, FirstAdmin::Setup) || meta.has_users().await? {
        return Ok(None);
    }
    if settings.setup_token.is_some() {
        return Ok(settings.setup_token.clone());
    }
    Ok(Some(Secret::new(random::token()?)))
}

/// A hand on a [`Server`] that runs.
#[derive(Clone)]
pub struct Control {
    app: App,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    /// From now on these limits hold.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        self.app.rates.set_limits(limits);
    }

    /// Whether the stores answer, as `/health/ready` says it.
    pub async fn is_ready(&self) -> bool {
        api::health::is_ready(&self.app).await
    }
}

/// A pgAnalytics server.
pub struct Server {
    pub(crate) app: App,
    pub(crate) router: Router,
    routes: Vec<RouteEntry>,
    document: OpenApi,
    first_admin: Option<(String, Secret<String>)>,
    setup_token: Option<Secret<String>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.app.settings).finish_non_exhaustive()
    }
}

impl Server {
    /// Begins a server.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Name and password of the first admin, when this server has just made one
    /// with a random password. Show it to whoever started the server, once;
    /// nobody can find it out later.
    pub fn first_admin(&mut self) -> Option<(String, Secret<String>)> {
        self.first_admin.take()
    }

    /// What `/auth/setup` asks for, where the first admin is to be made there
    /// and has not been. Show it to whoever started the server.
    pub fn setup_token(&mut self) -> Option<Secret<String>> {
        self.setup_token.take()
    }

    /// The service. Nest it under any path of an axum application (with
    /// `nest_service`), or hand it to whatever serves a tower service. Background work is
    /// [`Server::maintenance`]'s.
    ///
    /// Peers are known where requests carry
    /// [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo), as those of
    /// `into_make_service_with_connect_info` do; without it nobody counts as
    /// local and all who are not logged in share one rate limit.
    pub fn into_service(self) -> Router {
        self.router
    }

    /// The service, and the server stays.
    pub fn service(&self) -> Router {
        self.router.clone()
    }

    /// Changes what may be changed while the server runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { app: Arc::clone(&self.app) }
    }

    /// Every route with the permission that it needs.
    #[must_use]
    pub fn routes(&self) -> &[RouteEntry] {
        &self.routes
    }

    /// The OpenAPI document as JSON.
    ///
    /// # Errors
    /// When it can't be written as JSON.
    pub fn openapi(&self) -> Result<String, ServerError> {
        self.document.to_pretty_json().map_err(|error| ServerError::setting("openapi", error.to_string()))
    }
}
