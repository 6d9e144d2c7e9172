//! What DDL does to a database becomes events, without a lock and without a
//! literal.

use std::time::Duration;

use pganalytics_collect::{Collected, Collector};
use pganalytics_core::Value;
use pganalytics_testkit::{Cluster, versions};
use tokio::time::Instant;

use crate::watch::{Watch, batches, context, only, row_where, value, went_well};

const BEFORE: &str = "
create table gone (a int);
create table parent (id int primary key);
create table t (a int default 424242, b varchar(10), c text, check (a > 434343));
create index t_b on t (b) where b <> 'canary_where';
create view v as select a from t where c = 'canary_view';
create function f() returns trigger language plpgsql as 'begin return new; end';
create table moved (a int constraint positive check (a > 0));";

const AFTER: &str = "
drop table gone;
create table fresh (a int, b text not null);
alter table t add column d timestamptz not null default now();
drop view v;
alter table t drop column c;
alter table t alter column b type varchar(20);
alter table t add constraint t_a foreign key (a) references parent (id) on delete cascade;
drop index t_b;
create view v as select a, b from t where a = 454545;
create trigger tr before insert on t for each row execute function f('canary_argument');
alter table t set (fillfactor = 70);
alter table t alter column a set default 464646;
alter table moved rename to settled;";

/// Events as (object, old, new), in order.
fn events(collected: &Collected) -> Vec<(String, Option<String>, Option<String>)> {
    let text = |value: Value<'_>| match value {
        Value::Text(text) => Some(text.to_owned()),
        _ => None,
    };
    let mut found = Vec::new();
    for batch in batches(collected, "pg_event") {
        for row in 0..batch.rows.len() {
            assert_eq!(value(batch, row, "kind"), Value::Text("schema"));
            let object = text(value(batch, row, "object")).unwrap();
            found.push((object, text(value(batch, row, "old")), text(value(batch, row, "new"))));
        }
    }
    found.sort();
    found
}

async fn run(cluster: &Cluster, script: &str) {
    let client = cluster.client("postgres").await.unwrap();
    for statement in script.split_inclusive(";\n") {
        client.batch_execute(statement).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_is_an_event_with_old_and_new() {
    for version in versions() {
        let cluster = Cluster::builder(version).start().await.unwrap();
        run(&cluster, BEFORE).await;
        let mut config = crate::watch::config(&cluster.monitor_url("postgres"));
        config.databases = vec!["postgres".into()];
        let mut watch = Watch::with(config, only(&["pg_schema", "pg_event"]));
        let first = watch.visit().await;
        assert!(went_well(&first, "pg_schema"), "{version}: {:#?}", first.reports);
        assert_eq!(events(&first), [], "{version}: the first look");
        assert_eq!(events(&watch.visit().await), [], "{version}: nothing changed");

        run(&cluster, AFTER).await;
        let second = watch.visit().await;
        let told = events(&second);
        let of = |object: &str| {
            let found: Vec<_> = told.iter().filter(|(name, ..)| name == object).collect();
            assert_eq!(found.len(), 1, "{version} {object}: {told:#?}");
            (found[0].1.as_deref(), found[0].2.as_deref())
        };
        assert_eq!(of("table public.gone"), (Some("owner postgres (a integer)"), None));
        assert_eq!(of("table public.fresh"), (None, Some("owner postgres (a integer, b text not null)")));
        let (old, new) = of("table public.t column d");
        assert!(old.is_none() && new.unwrap().starts_with("timestamp with time zone not null default #"), "{new:?}");
        assert_eq!(of("table public.t column c"), (Some("text"), None));
        assert_eq!(of("table public.t column b"), (Some("character varying(10)"), Some("character varying(20)")));
        let (old, new) = of("table public.t column a");
        assert!(old.unwrap().starts_with("integer default #") && new.unwrap().starts_with("integer default #"));
        assert_ne!(old, new);
        assert_eq!(
            of("table public.t constraint t_a"),
            (None, Some("foreign key (a) references public.parent (id) on delete cascade"))
        );
        let (old, new) = of("index public.t_b");
        assert!(old.unwrap().starts_with("btree (b) where #") && new.is_none(), "{old:?}");
        let (old, new) = of("view public.v");
        assert!(old.unwrap().starts_with("as #") && new.unwrap().starts_with("as #") && old != new);
        assert_eq!(of("view public.v column b"), (None, Some("character varying(20)")));
        assert_eq!(
            of("table public.t trigger tr"),
            (None, Some("before insert for each row execute function public.f"))
        );
        assert_eq!(of("table public.t"), (Some("owner postgres"), Some("with (fillfactor=70) owner postgres")));
        assert_eq!(of("table public.moved name"), (Some("public.moved"), Some("public.settled")));
        assert_eq!(told.len(), 13, "{version}: {told:#?}");
        assert_eq!(events(&watch.visit().await), [], "{version}: nothing changed since");

        // Nothing of a literal in what would leave the host.
        for batch in first.batches.iter().chain(&second.batches) {
            let back = format!("{:?}", batch.rows);
            for canary in ["424242", "434343", "canary", "454545", "464646"] {
                assert!(!back.contains(canary), "{version}: {canary} in {}", batch.schema.measurement());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_causes_a_look_before_its_time() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).start().await.unwrap();
    cluster.sql("postgres", "create table t (a int)").await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_schema", "pg_extension", "pg_event"]));
    watch.visit().await;
    let databases = watch.collectors.last_mut().unwrap();
    let extensions = async |databases: &mut Box<dyn Collector>| {
        let mut cx = context(&**databases, Duration::from_secs(60));
        cx.due.retain(|name| name.as_str() == "pg_extension");
        databases.collect(&cx).await.unwrap()
    };
    cluster.sql("postgres", "alter table t add column b text").await.unwrap();
    let began = Instant::now();
    let told = loop {
        let told = events(&extensions(databases).await);
        if !told.is_empty() {
            break told;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "never looked at");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(told, [(String::from("table public.t column b"), None, Some(String::from("text")))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_holds_nobody_up() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).start().await.unwrap();
    let script = "
create table t (id serial primary key, v text);
insert into t (v) select repeat('x', 100) from generate_series(1, 10000);
analyze t;
create view v as select * from t;";
    run(&cluster, script).await;
    let names = [
        "pg_stat_user_tables",
        "pg_stat_user_indexes",
        "pg_table_size",
        "pg_index_size",
        "pg_bloat_table",
        "pg_bloat_index",
        "pg_vacuum_need",
        "pg_sequences",
        "pg_table_age",
        "pg_schema",
    ];
    let locker = cluster.client("postgres").await.unwrap();
    let lock = "begin; lock table t in access exclusive mode; lock table v in access exclusive mode; \
                alter sequence t_id_seq cache 2";
    locker.batch_execute(lock).await.unwrap();
    let mut watch = Watch::new(&cluster.superuser_url("postgres"), only(&names));
    let collected = watch.visit().await;
    for name in names {
        assert!(went_well(&collected, name), "{name}: {:#?}", collected.reports);
    }
    let batch = batches(&collected, "pg_schema").next().unwrap();
    assert!(row_where(batch, &[("kind", "table"), ("relname", "t")]).is_some());
    let batch = batches(&collected, "pg_sequences").next().unwrap();
    assert_eq!(value(batch, 0, "skipped"), Value::Bool(true));
    assert_eq!(value(batch, 0, "last_value"), Value::Null);
    locker.batch_execute("rollback").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_is_no_change_of_its_schema() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).start().await.unwrap();
    cluster.sql("postgres", "create database app").await.unwrap();
    cluster.sql("app", "create table t (a int)").await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_schema", "pg_event"]));
    let collected = watch.visit().await;
    assert_eq!(batches(&collected, "pg_schema").map(|batch| batch.rows.len()).sum::<usize>(), 1);
    cluster.sql("postgres", "drop database app with (force)").await.unwrap();
    assert_eq!(events(&watch.visit().await), []);
    cluster.sql("postgres", "create database app").await.unwrap();
    assert_eq!(events(&watch.visit().await), []);
}
