//! Runs queries: on threads of their own, within time, memory and rows.

use std::{any::Any, collections::HashSet, num::NonZero, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use datafusion::{
    arrow::{
        array::{RecordBatch, RecordBatchOptions},
        datatypes::SchemaRef,
    },
    common::{DataFusionError, ScalarValue, tree_node::TreeNodeRecursion},
    config::Dialect,
    execution::{
        SessionState, SessionStateBuilder,
        context::SQLOptions,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::{LogicalPlan, LogicalPlanBuilder},
    physical_plan::{SendableRecordBatchStream, execute_stream},
    prelude::{SessionConfig, SessionContext},
};
use futures::{FutureExt as _, StreamExt as _};
use pganalytics_core::Schema;
use tokio::{
    runtime::Runtime,
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    copies,
    error::{SqlError, translate},
    fact_cache::FactCache,
    functions, naming,
    query::{SqlParam, SqlQuery},
    stream::{AbortOnDrop, Message, RecordStream},
    table::{self, Tables},
    underway::Underway,
    watch::{Stop, watched},
    whole::WholeBlocks,
};
use crate::{chunk::ChunkSource, error::StoreError};

/// How an engine works. The defaults suit a small machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Threads that compute; none of them does the server's IO.
    pub threads: usize,
    /// Queries that may run at once; others wait for their turn.
    pub concurrent_queries: usize,
    /// Memory that one query may hold. Nothing is spilled to disk.
    pub query_memory_bytes: usize,
    /// Memory for what was learned of chunks, shared by all queries.
    pub cache_bytes: usize,
    /// How far back `m_latest` looks for the last state of a source.
    pub latest_lookback: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(2, NonZero::get),
            concurrent_queries: 4,
            query_memory_bytes: 256 << 20,
            cache_bytes: 64 << 20,
            latest_lookback: Duration::from_secs(2 * 3600),
        }
    }
}

/// The SQL engine of block stores. Cheap to clone; clones share threads, limits
/// and cache.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    permits: Arc<Semaphore>,
    template: SessionState,
    cache: Arc<FactCache>,
    options: EngineOptions,
    underway: Underway,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Waiting for threads is not allowed inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts an engine's threads.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn new(options: EngineOptions) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("pganalytics-sql")
            // Plans are trees, and what walks them recurses.
            .thread_stack_size(8 << 20)
            .enable_time()
            .build()
            .map_err(|error| StoreError::backend("starting the SQL engine's threads", error))?;
        let mut template = template(&options);
        functions::leave_out(&mut template).map_err(|error| translate(error, 0))?;
        Ok(Self {
            inner: Arc::new(Inner {
                runtime: Some(runtime),
                permits: Arc::new(Semaphore::new(options.concurrent_queries.max(1))),
                template,
                cache: Arc::new(FactCache::new(options.cache_bytes)),
                options,
                underway: Underway::default(),
            }),
        })
    }

    /// Waits until no query runs; false when one goes on for longer than this.
    #[cfg(target_os = "linux")]
    pub(super) async fn is_idle_within(&self, patience: Duration) -> bool {
        let all = u32::try_from(self.inner.options.concurrent_queries.max(1)).unwrap_or(u32::MAX);
        matches!(tokio::time::timeout(patience, self.inner.permits.acquire_many(all)).await, Ok(Ok(_)))
    }

    /// Whether the engine can take queries.
    ///
    /// # Errors
    /// When all of its threads, or all of its places, are with queries that did
    /// not end at their deadline. Only a restart of the process helps then.
    pub fn check(&self) -> Result<(), StoreError> {
        let options = &self.inner.options;
        let lost = self.inner.underway.lost();
        if lost < options.threads.min(options.concurrent_queries).max(1) {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{lost} queries did not end at their deadline and keep the SQL engine's threads; restart the server"
        )))
    }

    /// Runs a query over what a store holds. Returns when the first rows can
    /// come; they are computed as they are read, and no further once the stream
    /// is dropped.
    ///
    /// # Errors
    /// [`StoreError::Sql`] for what is wrong with the query or its limits, and
    /// the store's own errors.
    pub async fn execute(&self, source: Arc<dyn ChunkSource>, query: SqlQuery) -> Result<RecordStream, StoreError> {
        let inner = &self.inner;
        self.check()?;
        let seconds = query.seconds();
        let deadline = Instant::now() + query.timeout();
        let stop = Arc::new(Stop::after(query.timeout()));
        let turn = timeout_at(deadline, Arc::clone(&inner.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = turn else {
            return Err(SqlError::Busy { running: inner.options.concurrent_queries }.into());
        };
        let Some(runtime) = &inner.runtime else {
            return Err(StoreError::Unavailable("the SQL engine is shutting down".to_owned()));
        };
        let (head, first) = oneshot::channel();
        // A few batches ahead of the reader, so that both sides work.
        let (rows, messages) = mpsc::channel(4);
        let run = Run {
            template: inner.template.clone(),
            cache: Arc::clone(&inner.cache),
            options: inner.options.clone(),
            source,
            query,
            stop: Arc::clone(&stop),
        };
        let place = inner.underway.until(deadline);
        let task = runtime.spawn(async move {
            let _held = (permit, place);
            let answer = AssertUnwindSafe(timeout_at(deadline, run.run(head, &rows))).catch_unwind();
            let end = match answer.await {
                Ok(Ok(Ok(truncated))) => Message::Done { truncated },
                Ok(Ok(Err(error))) => Message::Failed(error),
                Ok(Err(_)) => Message::Failed(SqlError::Timeout { seconds }.into()),
                Err(panic) => Message::Failed(of_panic(&*panic).into()),
            };
            // Whoever asked may be gone.
            drop(rows.send(end).await);
        });
        let task = AbortOnDrop(task.abort_handle(), stop);
        let mut stream = RecordStream::of_engine(messages, deadline, seconds, task);
        match timeout_at(deadline, first).await {
            Ok(Ok(schema)) => Ok(stream.with_schema(schema)),
            // It failed before there was a schema; the stream says how.
            Ok(Err(_)) => match stream.next().await {
                Some(Err(error)) => Err(error),
                _ => Err(SqlError::Internal("it stopped while planning a query".to_owned()).into()),
            },
            Err(_) => Err(SqlError::Timeout { seconds }.into()),
        }
    }
}

/// What it means that the engine panicked: Arrow does where an array would need
/// offsets that it has no bits for.
fn of_panic(panic: &(dyn Any + Send)) -> SqlError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
    if text.contains("overflow") {
        return SqlError::Failed("the query makes texts or lists of more than 2 GB; ask for less at once".to_owned());
    }
    SqlError::Internal(text.to_owned())
}

/// What all queries have in common: configuration and functions.
fn template(options: &EngineOptions) -> SessionState {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_default_catalog_and_schema(table::CATALOG, table::SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_target_partitions(options.threads.max(1));
    let settings = config.options_mut();
    settings.sql_parser.dialect = Dialect::PostgreSQL;
    settings.execution.time_zone = Some(table::ZONE.to_owned());
    SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_optimizer_rule(Arc::new(WholeBlocks))
        .build()
}

/// One query under way.
struct Run {
    template: SessionState,
    cache: Arc<FactCache>,
    options: EngineOptions,
    source: Arc<dyn ChunkSource>,
    query: SqlQuery,
    stop: Arc<Stop>,
}

impl Run {
    /// Sends the answer; says whether rows were left out.
    async fn run(self, head: oneshot::Sender<SchemaRef>, rows: &mpsc::Sender<Message>) -> Result<bool, StoreError> {
        let limit = self.options.query_memory_bytes;
        let max_rows = self.query.max_rows();
        let mut stream = self.start().await.map_err(|error| match error {
            Failure::Store(error) => error,
            Failure::Engine(error) => translate(error, limit),
        })?;
        let names = naming::answered(&stream.schema());
        if head.send(Arc::clone(&names)).is_err() {
            return Ok(false);
        }
        let mut sent = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| translate(error, limit))?;
            let left = max_rows - sent;
            let truncated = batch.num_rows() > left;
            let batch = if truncated { batch.slice(0, left) } else { batch };
            let batch = renamed(batch, &names).map_err(|error| translate(error, limit))?;
            sent += batch.num_rows();
            if batch.num_rows() > 0 && rows.send(Message::Batch(batch)).await.is_err() {
                return Ok(false);
            }
            if truncated {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn start(self) -> Result<SendableRecordBatchStream, Failure> {
        let stored = self.source.stored(self.query.principal().tenant).await?;
        let tables = Tables::new(
            Arc::clone(&self.source),
            self.query.principal().tenant,
            with_known(stored.into_iter().map(|stored| stored.schema), self.query.known()),
            Arc::clone(&self.cache),
            self.options.latest_lookback,
        );
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(self.options.query_memory_bytes)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let tables = Arc::new(tables);
        let mut state = SessionStateBuilder::new_from_existing(self.template)
            .with_runtime_env(environment)
            .with_catalog_list(Arc::new(table::Catalogs::new(Arc::clone(&tables))))
            .build();
        let pool = Arc::clone(&state.runtime_env().memory_pool);
        functions::bound(&mut state, &pool)?;
        let context = SessionContext::new_with_state(state);
        let plan = context.state().statement_to_plan(naming::prepared(self.query.statement())?).await;
        let plan = plan.map_err(|error| tables.explain(error))?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)?;
        let plan = with_params(plan, self.query.params())?;
        narrow_enough(&plan, self.query.max_columns())?;
        let plan = at_most(plan, self.query.max_rows())?;
        let frame = context.execute_logical_plan(plan).await?;
        let task = Arc::new(frame.task_ctx());
        let plan = copies::bounded(frame.create_physical_plan().await?)?;
        let plan = watched(plan, &self.stop)?;
        Ok(execute_stream(plan, task)?)
    }
}

/// The batch with these names of its columns.
fn renamed(batch: RecordBatch, names: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    if batch.schema_ref() == names {
        return Ok(batch);
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(names), batch.columns().to_vec(), &rows)?)
}

/// What is stored, and what is known and has not been sent yet.
fn with_known(stored: impl Iterator<Item = Arc<Schema>>, known: &[Arc<Schema>]) -> Vec<Arc<Schema>> {
    let mut schemas: Vec<_> = stored.collect();
    let sent: HashSet<_> = schemas.iter().map(|schema| schema.measurement().clone()).collect();
    schemas.extend(known.iter().filter(|schema| !sent.contains(schema.measurement())).cloned());
    schemas
}

/// What went wrong, before it is translated.
enum Failure {
    Store(StoreError),
    Engine(DataFusionError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(error)
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Store(error.into())
    }
}

/// Puts values in the place of `$1`, `$2`….
fn with_params(plan: LogicalPlan, params: &[SqlParam]) -> Result<LogicalPlan, Failure> {
    let wanted = plan.get_parameter_names()?.len();
    let highest = plan
        .get_parameter_names()?
        .iter()
        .filter_map(|name| name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()))
        .max()
        .unwrap_or(0);
    if wanted == 0 && params.is_empty() {
        return Ok(plan);
    }
    if highest != params.len() {
        let given = params.len();
        return Err(SqlError::Parameters(format!("the query has ${highest} as its highest, {given} were given")).into());
    }
    let values: Vec<ScalarValue> = params
        .iter()
        .map(|param| match param {
            SqlParam::Null => ScalarValue::Null,
            SqlParam::Bool(value) => ScalarValue::Boolean(Some(*value)),
            SqlParam::Int(value) => ScalarValue::Int64(Some(*value)),
            SqlParam::Float(value) => ScalarValue::Float64(Some(*value)),
            SqlParam::Text(value) => ScalarValue::Utf8(Some(value.clone())),
            SqlParam::Timestamp(value) => {
                ScalarValue::TimestampMicrosecond(Some(value.as_micros()), Some(table::ZONE.into()))
            }
        })
        .collect();
    Ok(plan.with_param_values(values)?)
}

/// Refuses plans with a step of very many columns, as `*` of many joined tables.
fn narrow_enough(plan: &LogicalPlan, limit: usize) -> Result<(), Failure> {
    let mut widest = 0;
    plan.apply_with_subqueries(|node| {
        widest = widest.max(node.schema().fields().len());
        Ok(TreeNodeRecursion::Continue)
    })?;
    if widest > limit {
        let what = "columns in one step; name those that you need in place of *";
        return Err(SqlError::TooComplex { what: what.into(), given: widest, limit }.into());
    }
    Ok(())
}

/// One row more than is allowed: then it is known that there are more.
fn at_most(plan: LogicalPlan, rows: usize) -> Result<LogicalPlan, DataFusionError> {
    match plan {
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => Ok(plan),
        plan => LogicalPlanBuilder::from(plan).limit(0, Some(rows.saturating_add(1)))?.build(),
    }
}
