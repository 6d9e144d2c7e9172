//! Measurements of your users: a folder of catalog files, looked at while the agent
//! runs. A file that is put there begins to be collected, one that is wrong is told
//! of and costs the others nothing, one that is removed ends.
//!
//! ```sh
//! PG_URL=postgres://monitor@localhost/postgres cargo run -p pganalytics-examples --example own_sql_folder
//! ```

use pganalytics_collect::{Agent, PostgresConfig, PostgresServer, Snapshots, own_sql::CatalogFolder};

const SESSIONS: &str = r#"
name = "app_sessions"
title = "Sessions by application"
scope = "cluster"
interval = "1s"

[[query]]
postgres = ">=14"
sql = """
select application_name, count(*) as sessions
from pg_catalog.pg_stat_activity
group by 1
"""

[[column]]
name = "application_name"
kind = "key"
type = "text"
doc = "As the application calls itself"

[[column]]
name = "sessions"
kind = "gauge"
type = "int"
unit = "sessions"
doc = "Sessions that it has"
"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = PostgresConfig::from_url(&std::env::var("PG_URL")?)?.named("main");
    let files = tempfile::tempdir()?;
    let folder = CatalogFolder::open(files.path());
    let reloader = folder.reloader();
    let now = Snapshots::new();
    let agent = Agent::builder()
        .server(PostgresServer::new(config, folder.catalog().iter().cloned()))
        .catalog_folder(folder)
        .sink(now.clone())
        .build()?
        .start()?;

    // While it runs. It looks every two seconds; asking makes it look at once.
    std::fs::write(files.path().join("app_sessions.toml"), SESSIONS)?;
    std::fs::write(files.path().join("broken.toml"), "name = 3\n")?;
    reloader.reload();
    let sessions = now.wait_for("app_sessions").await.batch;
    for row in 0..sessions.rows.len() {
        println!("{:?} has {:?}", sessions.rows.get(row, 0), sessions.rows.get(row, 1));
    }
    // How the files go is a measurement, too: file, status, what is wrong and where.
    let reports = now.wait_for("agent_catalog").await.batch;
    for row in 0..reports.rows.len() {
        let columns = 0..reports.schema.columns().len();
        let values: Vec<_> = columns.map(|column| format!("{:?}", reports.rows.get(row, column))).collect();
        println!("{}", values.join(" "));
    }
    agent.stop().await?;
    Ok(())
}
