//! A user's own SQL, put into the folder of an agent that runs.

use std::{fs, path::Path, time::Duration};

use pganalytics_collect::{
    Agent, MemorySink, Plan,
    own_sql::{CatalogFolder, LiveCatalog},
    postgres::PostgresServer,
};
use pganalytics_core::{Batch, Value, catalog::Catalog};
use pganalytics_testkit::{Cluster, versions};
use tokio_util::sync::CancellationToken;

use crate::watch::{config, only, own, row_where, value};

fn orders(scope: &str, columns: &[(&str, &str)]) -> String {
    let list: Vec<_> = columns.iter().map(|(name, sql)| format!("{sql} as {name}")).collect();
    let mut text = format!(
        "name = 'app_orders'\nscope = '{scope}'\ninterval = '1s'\n[[query]]\nsql = \"\"\"select state::text as state, {} \
         from app.orders group by 1\"\"\"\n[[column]]\nname = 'state'\nkind = 'key'\ntype = 'text'\n",
        list.join(", ")
    );
    for (name, _) in columns {
        text.push_str(&format!("[[column]]\nname = '{name}'\nkind = 'gauge'\ntype = 'int'\n"));
    }
    text
}

async fn until(sink: &MemorySink, what: &str, satisfied: impl Fn(&[Batch]) -> bool) {
    let wait = async {
        while !satisfied(&sink.batches()) {
            sink.wait_for(sink.batches().len() + 1).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.unwrap_or_else(|_| panic!("never {what}"));
}

fn of<'a>(batches: &'a [Batch], name: &'a str) -> impl DoubleEndedIterator<Item = &'a Batch> {
    batches.iter().filter(move |batch| batch.schema.measurement().as_str() == name)
}

fn gone(batch: &Batch, row: usize) -> bool {
    batch.rows.gone().is_some_and(|gone| gone.get(row))
}

async fn cluster() -> Option<Cluster> {
    let cluster = Cluster::start(versions().last().copied()?).await.unwrap();
    let statements = [
        "create schema app",
        "create table app.orders (state text, amount int)",
        "insert into app.orders values ('open', 5), ('open', 7), ('paid', 1)",
        "grant usage on schema app to monitor",
        "grant select on app.orders to monitor",
    ];
    for statement in statements {
        cluster.sql("postgres", statement).await.unwrap();
    }
    Some(cluster)
}

fn file_says(batches: &[Batch], file: &str, ok: bool) -> bool {
    let last = of(batches, "agent_catalog").rev().find_map(|batch| Some((batch, row_where(batch, &[("file", file)])?)));
    last.is_some_and(|(batch, row)| !gone(batch, row) && value(batch, row, "ok") == Value::Bool(ok))
}

/// Pids of our sessions.
async fn sessions(cluster: &Cluster) -> Vec<i32> {
    let client = cluster.client("postgres").await.unwrap();
    let rows =
        client.query("select pid from pg_stat_activity where usename = 'monitor' order by 1", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_changes_breaks_and_goes_while_the_agent_runs() {
    let Some(cluster) = cluster().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orders.toml");
    let save = |text: &str| fs::write(&file, text).unwrap();
    let folder = CatalogFolder::open(dir.path());
    let reloader = folder.reloader();
    let mut plan = Plan::default();
    ["pg_up", "agent_catalog"].iter().for_each(|name| plan.set_interval(name, Duration::from_secs(1)));
    let sink = MemorySink::new();
    let server = PostgresServer::new(config(&cluster.monitor_url("postgres")), only(&["pg_up", "pg_stat_database"]));
    let agent = Agent::builder().plan(plan).server(server).catalog_folder(folder).sink(sink.clone()).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    until(&sink, "up", |batches| of(batches, "pg_stat_database").next().is_some()).await;
    let session = sessions(&cluster).await;
    assert_eq!(session.len(), 1, "the cluster's");

    // It comes: seen without being told.
    save(&orders("cluster", &[("orders", "count(*)::int8")]));
    until(&sink, "new", |batches| of(batches, "app_orders").next().is_some()).await;
    let batches = sink.batches_of("app_orders");
    let open = row_where(&batches[0], &[("state", "open")]).unwrap();
    assert_eq!((value(&batches[0], open, "orders"), batches[0].source.database.clone()), (Value::Int(2), None));
    until(&sink, "told", |batches| file_says(batches, "orders.toml", true)).await;

    // It changes: its new column travels.
    save(&orders("cluster", &[("orders", "count(*)::int8"), ("amount", "sum(amount)::int8")]));
    reloader.reload();
    let wider = |batch: &Batch| batch.schema.position("amount").is_some();
    until(&sink, "changed", |batches| of(batches, "app_orders").any(wider)).await;
    let batches = sink.batches_of("app_orders");
    let batch = batches.iter().find(|batch| wider(batch)).unwrap();
    let open = row_where(batch, &[("state", "open")]).unwrap();
    assert_eq!(value(batch, open, "amount"), Value::Int(12));

    // It breaks: it goes on as it was, and its row says what is wrong.
    save("name = 'app_orders'\nscope = 'moon'\n");
    reloader.reload();
    until(&sink, "broken", |batches| file_says(batches, "orders.toml", false)).await;
    let count = sink.batches_of("app_orders").len();
    until(&sink, "going on", |batches| of(batches, "app_orders").count() > count + 1).await;
    let told = sink.batches_of("agent_catalog");
    let (batch, row) =
        told.iter().rev().find_map(|batch| Some((batch, row_where(batch, &[("file", "orders.toml")])?))).unwrap();
    assert!(matches!(value(batch, row, "error"), Value::Text(text) if text.starts_with("line 2: scope")), "{batch:?}");
    assert_eq!(value(batch, row, "measurement"), Value::Text("app_orders"));

    // It moves to the databases: its rows there begin, those of the cluster end.
    save(&orders("database", &[("orders", "count(*)::int8")]));
    reloader.reload();
    let here = |batch: &Batch| batch.source.database.as_deref() == Some("postgres") && !batch.rows.is_empty();
    until(&sink, "in the database", |batches| of(batches, "app_orders").any(here)).await;
    let ends = |batches: &[Batch], there: &dyn Fn(&Batch) -> bool| {
        of(batches, "app_orders")
            .filter(|batch| there(batch))
            .any(|batch| batch.rows.len() == 2 && (0..2).all(|row| gone(batch, row)))
    };
    until(&sink, "ended in the cluster", |batches| ends(batches, &|batch| batch.source.database.is_none())).await;

    // It goes: rows and account end.
    fs::remove_file(&file).unwrap();
    until(&sink, "ended", |batches| ends(batches, &here)).await;
    until(&sink, "not accounted for", |batches| {
        of(batches, "agent_scrape")
            .any(|batch| row_where(batch, &[("measurement", "app_orders")]).is_some_and(|row| gone(batch, row)))
    })
    .await;
    let count = sink.batches_of("app_orders").len();
    let ups = sink.batches_of("pg_up").len();
    until(&sink, "others going on", |batches| of(batches, "pg_up").count() > ups + 3).await;
    assert_eq!(sink.batches_of("app_orders").len(), count, "it is not asked for any more");
    assert!(sessions(&cluster).await.starts_with(&session), "the session of the others stays");
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedder_exchanges_the_catalog_of_a_running_agent() {
    let Some(cluster) = cluster().await else { return };
    let live = LiveCatalog::new(Catalog::builtin().clone());
    let sink = MemorySink::new();
    let server = PostgresServer::new(config(&cluster.monitor_url("postgres")), only(&["pg_up"]));
    let agent = Agent::builder().server(server).catalog(&live).sink(sink.clone()).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    // A statement that fails is not tried for a minute; a better one is, at once.
    let text = orders("cluster", &[("orders", "count(nothing)::int8")]);
    live.replace(Catalog::builtin().clone().with_file(&text, "orders.toml").unwrap());
    until(&sink, "failed", |batches| {
        let failed = |batch: &Batch| row_where(batch, &[("measurement", "app_orders"), ("status", "failed")]).is_some();
        of(batches, "agent_scrape").any(failed)
    })
    .await;
    let text = orders("cluster", &[("orders", "count(*)::int8")]);
    assert_eq!(own(&text).name().as_str(), "app_orders");
    live.replace(Catalog::builtin().clone().with_file(&text, "orders.toml").unwrap());
    until(&sink, "collected", |batches| of(batches, "app_orders").next().is_some()).await;
    // Nothing of the built-in catalog was added to what the server was given.
    assert!(sink.batches_of("pg_stat_database").is_empty());
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// The binary looks again when it gets SIGHUP, and lives on.
#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_files_again() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = dir.path().join("measurements");
    fs::create_dir(&catalog).unwrap();
    let data = dir.path().join("data");
    let settings = dir.path().join("agent.toml");
    fs::write(
        &settings,
        format!("[collector]\ncatalog_dir = {catalog:?}\ndata_dir = {data:?}\n[backend]\nurl = 'http://127.0.0.1:1'\n"),
    )
    .unwrap();
    let log = dir.path().join("log");
    let mut agent = std::process::Command::new(env!("CARGO_BIN_EXE_pganalytics-agent"))
        .env_clear()
        .args(["run", "--config"])
        .arg(&settings)
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let hangup = || {
        let pid = rustix::process::Pid::from_raw(i32::try_from(agent.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    };
    says(&log, "the agent starts").await;
    fs::write(catalog.join("bad.toml"), "name = 'bad'\nscope = 'moon'\n").unwrap();
    hangup();
    says(&log, "catalog files are read again").await;
    says(&log, "a catalog file is bad: line 2: scope").await;
    fs::write(catalog.join("bad.toml"), orders("cluster", &[("orders", "1")])).unwrap();
    hangup();
    says(&log, "a catalog file is good again").await;
    assert!(agent.try_wait().unwrap().is_none(), "it lives on");
    agent.kill().unwrap();
    agent.wait().unwrap();
}

async fn says(log: &Path, words: &str) {
    let wait = async {
        while !fs::read_to_string(log).unwrap().contains(words) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(60), wait).await;
    assert!(said.is_ok(), "never {words:?}: {}", fs::read_to_string(log).unwrap());
}
