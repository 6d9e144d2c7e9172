//! The tables that a query sees: three for each measurement, and one of gaps.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::{
    arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef},
    catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, Session, TableProvider},
    common::{DFSchema, DataFusionError},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, PhysicalExpr, streaming::StreamingTableExec},
};
use pganalytics_core::{ColumnType, Presence, Schema, TenantId, Timestamp};

use super::{
    GONE_MEMORY, LOOKBACK,
    error::{SqlError, nearest},
    fact_cache::FactCache,
    gaps,
    gather::Shared,
    pushdown::{Bounds, Use, classify, one_of},
    rows::{ColumnSource, Wanted},
    scan::{Scan, partitions},
    shape::{Shape, arrow_type},
    stream_accounts,
};
use crate::{
    chunk::{ChunkSelect, ChunkSource},
    error::StoreError,
};

/// Name of the database, as in `current_database()`.
pub(super) const CATALOG: &str = "pganalytics";
/// Name of the schema that the tables are in.
pub(super) const SCHEMA: &str = "public";
/// All times are in this zone.
pub(super) const ZONE: &str = "UTC";
/// Of the memory of a query, what chunks may have that wait for their turn.
const AHEAD_SHARE: usize = 4;

/// The three views of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Rows,
    Delta,
    Latest,
}

/// All tables of a tenant, for one query.
pub(super) struct Tables {
    source: Arc<dyn ChunkSource>,
    tenant: TenantId,
    cache: Arc<FactCache>,
    latest_lookback: Duration,
    by_name: BTreeMap<String, (View, Arc<Schema>)>,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").field("names", &self.by_name.keys()).finish_non_exhaustive()
    }
}

impl Tables {
    pub(super) fn new(
        source: Arc<dyn ChunkSource>,
        tenant: TenantId,
        schemas: Vec<Arc<Schema>>,
        cache: Arc<FactCache>,
        latest_lookback: Duration,
    ) -> Self {
        let mut by_name = BTreeMap::new();
        for schema in &schemas {
            let name = schema.measurement();
            by_name.insert(format!("{name}_latest"), (View::Latest, Arc::clone(schema)));
            if schema.presence() == Presence::State {
                by_name.insert(format!("{name}_delta"), (View::Delta, Arc::clone(schema)));
            }
        }
        // A measurement of such a name is itself.
        for schema in schemas {
            by_name.insert(schema.measurement().to_string(), (View::Rows, schema));
        }
        Self { source, tenant, cache, latest_lookback, by_name }
    }

    /// Adds similar names to an error about a table that is not there.
    pub(super) fn explain(&self, error: DataFusionError) -> DataFusionError {
        let DataFusionError::Plan(message) = error.find_root() else { return error };
        let name = message.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
        let Some(name) = name else { return error };
        let plain = name.strip_prefix(CATALOG).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
        let plain = plain.strip_prefix(SCHEMA).and_then(|rest| rest.strip_prefix('.')).unwrap_or(plain);
        let near = nearest(plain, self.by_name.keys().map(String::as_str));
        let unknown = SqlError::UnknownTable { name: plain.to_owned(), near };
        DataFusionError::External(Box::new(StoreError::Sql(unknown)))
    }
}

/// Tables of what the store knows beside samples.
const OWN: [&str; 2] = [gaps::NAME, stream_accounts::NAME];

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.by_name.keys().cloned().collect();
        names.extend(OWN.map(str::to_owned));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if name == gaps::NAME {
            let gaps = self.source.losses(self.tenant).await;
            let gaps = gaps.map_err(|error| DataFusionError::External(Box::new(error)))?;
            return gaps::table(&gaps).map(Some);
        }
        if name == stream_accounts::NAME {
            let found = self.source.streams(self.tenant).await;
            let (accounts, forks) = found.map_err(|error| DataFusionError::External(Box::new(error)))?;
            return stream_accounts::table(&accounts, &forks).map(Some);
        }
        let Some((view, schema)) = self.by_name.get(name) else { return Ok(None) };
        Ok(Some(Arc::new(Table {
            layout: Arc::new(Layout::new(*view, schema)),
            source: Arc::clone(&self.source),
            tenant: self.tenant,
            cache: Arc::clone(&self.cache),
            latest_lookback: self.latest_lookback,
            summed: false,
        })))
    }

    fn table_exist(&self, name: &str) -> bool {
        OWN.contains(&name) || self.by_name.contains_key(name)
    }
}

/// The one catalog with its one schema.
#[derive(Debug)]
pub(super) struct Catalogs(Arc<Catalog>);

#[derive(Debug)]
struct Catalog(Arc<Tables>);

impl Catalogs {
    pub(super) fn new(tables: Arc<Tables>) -> Self {
        Self(Arc::new(Catalog(tables)))
    }
}

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::clone(&self.0) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == SCHEMA).then(|| Arc::clone(&self.0) as Arc<dyn SchemaProvider>)
    }
}

/// The columns of a table and where they come from.
#[derive(Debug)]
struct Layout {
    view: View,
    shape: Arc<Shape>,
    schema: SchemaRef,
    columns: Vec<ColumnSource>,
}

impl Layout {
    fn new(view: View, schema: &Arc<Schema>) -> Self {
        let mut columns = vec![ColumnSource::Time];
        let mut fields = vec![Field::new("time", arrow_type(ColumnType::Timestamp), false)];
        for shared in Shared::ALL {
            columns.push(ColumnSource::Shared(shared));
            fields.push(Field::new(shared.name(), DataType::Utf8View, shared == Shared::Database));
        }
        let delta = [("delta_seconds", ColumnSource::DeltaSeconds), ("delta_quality", ColumnSource::DeltaQuality)];
        let over_gap = [("carried_over_gap", ColumnSource::OverGap)];
        let state = schema.presence() == Presence::State;
        let delta: &[(&str, ColumnSource)] = match view {
            View::Delta => &delta,
            View::Rows | View::Latest if state => &over_gap,
            View::Rows | View::Latest => &[],
        };
        let mut taken: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        taken.extend(delta.iter().map(|(name, _)| (*name).to_owned()));
        for (at, column) in schema.columns().iter().enumerate() {
            let mut name = column.name.clone();
            while taken.contains(&name) {
                name.push('_');
            }
            fields.push(Field::new(&name, arrow_type(column.ty), true));
            columns.push(ColumnSource::Stored(at));
            taken.push(name);
        }
        for (name, source) in delta {
            let ty = match source {
                ColumnSource::DeltaSeconds => DataType::Float64,
                ColumnSource::OverGap => DataType::Boolean,
                _ => DataType::Utf8View,
            };
            fields.push(Field::new(*name, ty, *source == ColumnSource::DeltaSeconds));
            columns.push(*source);
        }
        let shape = Arc::new(Shape::new(Arc::clone(schema)));
        Self { view, shape, schema: Arc::new(ArrowSchema::new(fields)), columns }
    }

    fn source_of(&self, name: &str) -> Option<ColumnSource> {
        self.columns.get(self.schema.index_of(name).ok()?).copied()
    }

    fn classify(&self, filter: &Expr) -> Use {
        classify(filter, &self.shape.schema, &|name| self.source_of(name))
    }

    fn fields(&self, wanted: impl Fn(ColumnSource) -> bool) -> (ArrowSchema, Vec<ColumnSource>) {
        let all = self.schema.fields().iter().zip(&self.columns).filter(|(_, source)| wanted(**source));
        let (fields, sources): (Vec<FieldRef>, Vec<ColumnSource>) =
            all.map(|(field, source)| (Arc::clone(field), *source)).unzip();
        (ArrowSchema::new(fields), sources)
    }
}

/// Filters over some columns, all of which must be true.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<ColumnSource>,
    pub(super) all: Vec<Arc<dyn PhysicalExpr>>,
}

pub(super) struct Table {
    layout: Arc<Layout>,
    source: Arc<dyn ChunkSource>,
    tenant: TenantId,
    cache: Arc<FactCache>,
    latest_lookback: Duration,
    /// Whether only sums of its counters are asked for.
    summed: bool,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl Table {
    /// The same, of which only sums of counters will be asked for; `None` where that makes no
    /// difference, or is said already.
    pub(super) fn summed(&self) -> Option<Self> {
        (self.layout.view == View::Delta && !self.summed).then(|| Self {
            layout: Arc::clone(&self.layout),
            source: Arc::clone(&self.source),
            tenant: self.tenant,
            cache: Arc::clone(&self.cache),
            latest_lookback: self.latest_lookback,
            summed: true,
        })
    }

    /// Whether a column is the same in all rows of a key.
    pub(super) fn groups_by(&self, name: &str) -> bool {
        match self.layout.source_of(name) {
            Some(ColumnSource::Shared(_)) => true,
            Some(ColumnSource::Stored(at)) => self.layout.shape.keys.contains(&at),
            _ => false,
        }
    }

    /// Whether a column is a counter whose increases may be summed up a block at a time.
    pub(super) fn sums(&self, name: &str) -> bool {
        let own = |at| self.layout.shape.own_counters.contains(&at);
        matches!(self.layout.source_of(name), Some(ColumnSource::Stored(at)) if own(at))
    }

    fn filter(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        what: &Use,
        columns: impl Fn(ColumnSource) -> bool,
    ) -> Result<Filter, DataFusionError> {
        let mentioned = |source, name: &str| {
            columns(source)
                && filters.iter().any(|filter| {
                    self.layout.classify(filter) == *what
                        && filter.column_refs().into_iter().any(|column| column.name == name)
                })
        };
        let name_of = |source: ColumnSource| {
            let at = self.layout.columns.iter().position(|known| *known == source)?;
            self.layout.schema.fields().get(at).map(|field| field.name().as_str())
        };
        let (schema, columns) =
            self.layout.fields(|source| name_of(source).is_some_and(|name| mentioned(source, name)));
        let df_schema = DFSchema::try_from(schema.clone())?;
        let all = filters
            .iter()
            .filter(|filter| self.layout.classify(filter) == *what)
            .map(|filter| state.create_physical_expr(unqualified(filter.clone())?, &df_schema))
            .collect::<Result<_, _>>()?;
        Ok(Filter { schema: Arc::new(schema), columns, all })
    }

    /// What to read so that rows from `bounds` come out right.
    fn select(&self, filters: &[Expr], bounds: Bounds) -> ChunkSelect {
        let back = |duration: Duration| -i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let append = self.layout.shape.schema.presence() == Presence::Append;
        let from = match self.layout.view {
            // The state at the end counts, whatever range of it is asked for.
            View::Latest if append => Timestamp::from_micros(i64::MIN),
            View::Latest => now().plus_micros(back(self.latest_lookback)),
            View::Rows if append => bounds.from,
            View::Rows => bounds.from.plus_micros(back(LOOKBACK)),
            // What a key counted before it went matters for as long as it is remembered.
            View::Delta => bounds.from.plus_micros(back(LOOKBACK + GONE_MEMORY)),
        };
        let to = if self.layout.view == View::Latest { Timestamp::from_micros(i64::MAX) } else { bounds.to };
        let names = |wanted: &[Shared]| one_of(filters, wanted, &|name| self.layout.source_of(name));
        ChunkSelect {
            tenant: self.tenant,
            measurement: self.layout.shape.schema.measurement().clone(),
            from,
            to,
            servers: names(&[Shared::Server, Shared::ServerId]),
            databases: names(&[Shared::Database]),
        }
    }
}

fn now() -> Timestamp {
    let micros = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_micros();
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Takes the tables' names off the columns of a filter.
fn unqualified(filter: Expr) -> Result<Expr, DataFusionError> {
    use datafusion::common::{
        Column,
        tree_node::{Transformed, TreeNode as _},
    };
    let bare = filter.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(bare.data)
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.layout.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let one = |filter: &&Expr| match self.layout.classify(filter) {
            Use::Nothing => TableProviderFilterPushDown::Unsupported,
            Use::Time(_) | Use::Source | Use::Key => TableProviderFilterPushDown::Exact,
        };
        Ok(filters.iter().map(one).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let layout = &self.layout;
        let bounds = filters.iter().fold(Bounds::ALL, |bounds, filter| match layout.classify(filter) {
            Use::Time(more) => bounds.and(more),
            _ => bounds,
        });
        let schema = match projection {
            Some(columns) => Arc::new(layout.schema.project(columns)?),
            None => Arc::clone(&layout.schema),
        };
        let columns: Vec<ColumnSource> = match projection {
            Some(columns) => columns.iter().filter_map(|&at| layout.columns.get(at).copied()).collect(),
            None => layout.columns.clone(),
        };
        let of_keys = |source: &ColumnSource| match source {
            ColumnSource::Shared(_) => true,
            ColumnSource::Stored(at) => layout.shape.keys.contains(at) || layout.shape.own_counters.contains(at),
            _ => false,
        };
        let summed = self.summed && columns.as_slice().iter().all(of_keys);
        let wanted = Wanted {
            schema: Arc::clone(&schema),
            columns,
            from: bounds.from,
            to: bounds.to,
            batch_rows: state.config().batch_size(),
        };
        let scan = Scan {
            view: layout.view,
            shape: Arc::clone(&layout.shape),
            wanted,
            summed,
            select: self.select(filters, bounds),
            sources: self.filter(state, filters, &Use::Source, |source| matches!(source, ColumnSource::Shared(_)))?,
            keys: self.filter(state, filters, &Use::Key, |source| matches!(source, ColumnSource::Stored(_)))?,
            source: Arc::clone(&self.source),
            cache: Arc::clone(&self.cache),
            ahead: state.config().target_partitions() + 1,
            ahead_bytes: match state.runtime_env().memory_pool.memory_limit() {
                MemoryLimit::Finite(bytes) => bytes / AHEAD_SHARE,
                _ => usize::MAX,
            },
        };
        let partitions = partitions(scan, state.config().target_partitions());
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, limit)?))
    }
}
