//! A measurement of your own in SQL: a file of the catalog's form is all it takes.
//! An agent reads such files from the folder that `catalog_dir` names; a program
//! hands them over itself, as here.
//!
//! ```sh
//! PG_URL=postgres://monitor@localhost/postgres cargo run -p pganalytics-examples --example own_sql
//! ```

use std::sync::Arc;

use pganalytics_collect::{
    Agent, Outcome,
    postgres::{PostgresConfig, PostgresServer},
};
use pganalytics_core::catalog::Measurement;

const SCHEMA_TABLES: &str = r#"
name = "app_schema_tables"
title = "Tables by schema"
scope = "database"
interval = "5m"

[[query]]
postgres = ">=14"
sql = """
select n.nspname, count(*) as tables, coalesce(sum(c.reltuples) filter (where c.reltuples >= 0), 0)::float8 as rows
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname !~ '^pg_toast'
group by 1
"""

[[column]]
name = "nspname"
kind = "key"
type = "text"
doc = "Schema"

[[column]]
name = "tables"
kind = "gauge"
type = "int"
unit = "tables"
doc = "Tables in it"

[[column]]
name = "rows"
kind = "gauge"
type = "float"
unit = "rows"
doc = "Rows that the planner believes to be in them"
"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // A mistake in the file is an error that names file, line and field.
    let measurement = Arc::new(Measurement::parse(SCHEMA_TABLES, "app_schema_tables.toml")?);
    let config = PostgresConfig::from_url(&std::env::var("PG_URL")?)?;
    let mut agent = Agent::builder().server(PostgresServer::new(config, [measurement])).build()?;

    for visit in agent.once().await {
        let collected = visit.collected?;
        for report in &collected.reports {
            if let Outcome::Failed { message } = &report.outcome {
                anyhow::bail!("{}: {message}", report.measurement.as_str());
            }
        }
        for batch in &collected.batches {
            let names: Vec<_> = batch.schema.columns().iter().map(|column| &*column.name).collect();
            println!("{} of {} ({})", batch.schema.measurement().as_str(), batch.source.server, names.join(", "));
            for row in 0..batch.rows.len() {
                let values: Vec<_> =
                    (0..names.len()).map(|column| format!("{:?}", batch.rows.get(row, column))).collect();
                println!("  {}", values.join(" "));
            }
        }
    }
    Ok(())
}
