//! Collect into an embedded store and ask it in SQL, with no server between.
//!
//! ```sh
//! PG_URL=postgres://monitor@localhost/postgres cargo run -p pganalytics-examples --example query_store
//! ```

use std::{sync::Arc, time::Duration};

use pganalytics_collect::{
    Agent,
    clock::{Clock as _, SystemClock},
    postgres::{PostgresConfig, PostgresServer},
};
use pganalytics_core::{CollectorId, Seq, StreamId, TenantId, catalog::Catalog, frame::VerifiedFrame};
use pganalytics_store::{
    MetricStore, Origin,
    sql::{SqlGuard, SqlLimits, SqlPrincipal, csv_header, to_csv},
    sqlite::{SqliteOptions, SqliteStore},
};

const QUESTION: &str = "
    select datname, sum(xact_commit) as commits, sum(blks_hit) as blocks_hit, min(delta_quality) as quality
    from pg_stat_database_delta
    where datname is not null and time > now() - interval '1 hour'
    group by datname order by datname";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = PostgresConfig::from_url(&std::env::var("PG_URL")?)?;
    let folder = tempfile::tempdir()?; // yours would stay
    let store = SqliteStore::open(folder.path(), SqliteOptions::default())?;
    let mut agent = Agent::builder().server(PostgresServer::new(config, Catalog::builtin().iter().cloned())).build()?;

    // Two visits, so that counters have something to grow from. A store takes each
    // (collector, stream, seq) once; repeat an append after an error as it is.
    let (collector, stream) = (CollectorId::from_human("example")?, StreamId::random());
    let mut seq = 0;
    for _ in 0..2 {
        let mut frames = Vec::new();
        for visit in agent.once().await {
            for batch in visit.collected?.batches {
                frames.push(VerifiedFrame::of_batch(Seq(seq), &batch)?);
                seq += 1;
            }
        }
        let origin = Origin::new(TenantId::DEFAULT, collector, SystemClock.now());
        let stored = store.append(&origin, stream, frames).await?;
        println!("stored {} batches", stored.accepted());
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    // The guard lets only reading through, and only for one tenant.
    let guard = SqlGuard::new(SqlLimits::default());
    let query = guard.check(QUESTION, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT))?;
    let answer = Arc::new(store).query(query).await?.into_answer().await?;
    print!("{}", csv_header(&answer.schema));
    for batch in &answer.batches {
        print!("{}", to_csv(batch));
    }
    Ok(())
}
