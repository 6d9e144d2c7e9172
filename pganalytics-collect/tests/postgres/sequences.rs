//! Sequences near their end, whichever end comes first.

use pganalytics_core::Value;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, only, row_where, value};

const SCRIPT: &str = "
create table narrow (id bigserial);
alter table narrow alter column id type int;
select setval('narrow_id_seq', 2147483000);
create sequence wide;
create table filled (id int default nextval('wide'));
select setval('wide', 2147483640);
create sequence down increment -1 minvalue -100 maxvalue -1;
select setval('down', -90);
create sequence round maxvalue 10 cycle;
select setval('round', 10);
create sequence untouched as smallint;
create sequence hidden;
grant select on narrow_id_seq, wide, down, round, untouched to monitor;";

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_where_the_sequence_or_its_column_ends() {
    for version in versions() {
        let cluster = Cluster::builder(version).start().await.unwrap();
        let client = cluster.client("postgres").await.unwrap();
        for statement in SCRIPT.split_inclusive(";\n") {
            client.batch_execute(statement).await.unwrap();
        }
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_sequences"]));
        let collected = watch.visit().await;
        let batch = batches(&collected, "pg_sequences").next().unwrap_or_else(|| panic!("{:#?}", collected.reports));
        let of = |name: &str, column: &str| {
            value(batch, row_where(batch, &[("sequencename", name)]).unwrap_or_else(|| panic!("no {name}")), column)
        };
        let used = |name: &str| match of(name, "used_ratio") {
            Value::Float(ratio) => ratio,
            other => panic!("{version} {name}: {other:?}"),
        };
        for name in ["narrow_id_seq", "wide"] {
            assert_eq!(of(name, "data_type"), Value::Text("bigint"), "{version} {name}");
            assert_eq!(of(name, "limit_value"), Value::Int(i64::from(i32::MAX)), "{version} {name}");
            assert!(used(name) > 0.999, "{version} {name}");
        }
        assert_eq!(of("narrow_id_seq", "column_name"), Value::Text("public.narrow.id"));
        assert_eq!(of("wide", "column_name"), Value::Text("public.filled.id"));
        assert_eq!(of("wide", "values_left"), Value::Int(7));
        assert_eq!(of("down", "values_left"), Value::Int(10));
        assert!((0.85..0.95).contains(&used("down")), "{}", used("down"));
        assert_eq!(of("round", "values_left"), Value::Int(0));
        assert_eq!(of("round", "can_run_out"), Value::Bool(false));
        assert_eq!(of("untouched", "last_value"), Value::Null);
        assert_eq!(of("untouched", "values_left"), Value::Int(32767));
        assert!(used("untouched").abs() < f64::EPSILON);
        // What the role may not read is unknown, and not 0.
        assert_eq!(of("hidden", "readable"), Value::Bool(false));
        for column in ["last_value", "values_left", "used_ratio"] {
            assert_eq!(of("hidden", column), Value::Null, "{column}");
        }
    }
}
