//! Makes a server log something of every kind, with a canary wherever people's
//! values can be.

use std::{
    io::{Seek as _, SeekFrom, Write as _},
    time::Duration,
};

use pganalytics_testkit::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::Client;

/// Stands for what must not leave.
pub(crate) const CANARY: &str = "c4n4ry";
/// The same as a number.
pub(crate) const CANARY_NUMBER: &str = "7734773477";

/// A prefix that says everything that csvlog says.
pub(crate) const PREFIX: &str = "%m;%p;%u;%d;%a;%r;%b;%P;%c;%s;%v;%x;%e;%i;%Q;";

/// A cluster that writes its log in every way that its version can.
pub(crate) async fn cluster(version: u16) -> Cluster {
    let destinations = if version >= 15 { "stderr,csvlog,jsonlog" } else { "stderr,csvlog" };
    let settings = [
        ("log_destination", destinations),
        ("logging_collector", "on"),
        ("log_directory", "log"),
        ("log_filename", "x.log"),
        ("log_line_prefix", PREFIX),
        ("log_error_verbosity", "verbose"),
        ("log_connections", "on"),
        ("log_disconnections", "on"),
        ("log_checkpoints", "on"),
        ("log_lock_waits", "on"),
        ("log_temp_files", "0"),
        ("log_parameter_max_length_on_error", "-1"),
        ("log_autovacuum_min_duration", "0"),
        ("autovacuum_naptime", "1s"),
        ("autovacuum_vacuum_threshold", "10"),
        ("autovacuum_vacuum_insert_threshold", "10"),
        ("autovacuum_analyze_threshold", "10"),
        ("deadlock_timeout", "100ms"),
        ("compute_query_id", "on"),
        ("wal_level", "logical"),
        ("archive_mode", "on"),
        ("archive_command", "echo c4n4ry >&2; false"),
    ];
    let builder =
        settings.iter().fold(Cluster::builder(version), |builder, (name, value)| builder.setting(name, value));
    builder.start().await.unwrap()
}

/// What a file of the log has so far.
pub(crate) fn log(cluster: &Cluster, ending: &str) -> Vec<u8> {
    std::fs::read(cluster.data_dir().join("log").join(format!("x.{ending}"))).unwrap_or_default()
}

/// Waits until the log has this text so many times.
async fn logged(cluster: &Cluster, text: &str, times: usize) {
    logged_in(cluster, "log", text, times).await;
}

async fn logged_in(cluster: &Cluster, ending: &str, text: &str, times: usize) {
    for _ in 0..1_200 {
        if String::from_utf8_lossy(&log(cluster, ending)).matches(text).count() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = log(cluster, ending);
    panic!("the log ({ending}) has not {text:?}:\n{}", String::from_utf8_lossy(&log));
}

/// Statements that fail or say something, each in a way of its own.
const STATEMENTS: &[&str] = &[
    "select 'c4n4ry'::int",
    "select 'c4n4ry'::uuid",
    "select 'c4n4ry'::date",
    "select '2020-13-44 c4n4ry'::timestamptz",
    "select '9999-99-99'::date",
    "select '7734773477'::int",
    "select 7734773477::int",
    "select '{c4n4ry'::int[]",
    "select '(c4n4ry'::t_range",
    "select '[c4n4ry'::int4range",
    "select '{\"a\": c4n4ry}'::json",
    "select 'c4n4ry &'::tsquery",
    "select '$.c4n4ry['::jsonpath",
    "select 'c4n4ry' ~ '(c4n4ry'",
    "select 'c4n4ry'::mood",
    "select 'c4n4ry'::inet",
    "select 'c4n4ry'::bytea || '\\xZZ'::bytea",
    "select convert_from('\\xff00c4', 'UTF8')",
    "select to_date('c4n4ry', 'YYYY-MM-DD')",
    "select to_timestamp('c4n4ry', 'c4n4ry')",
    "select pg_read_file('c4n4ry')",
    "copy p from '/c4n4ry/file'",
    "copy p from program 'echo c4n4ry,c4n4ry' with (format csv)",
    "select 1/0 /* c4n4ry */ -- c4n4ry",
    "select 'c4n4ry",
    "select $$c4n4ry",
    "select \"c4n4ry'",
    "selct 'c4n4ry'",
    "select 1 'c4n4ry' 2",
    "select 7734773477x",
    "select nothing from nowhere where a = 'c4n4ry'",
    "select nothing from p where a = 'c4n4ry'",
    "select missing_function('c4n4ry', 1)",
    "select 'c4n4ry'::text + 1",
    "insert into p values (7734773477::text::bigint, 'c4n4ry')",
    "insert into p values (7734773477::text::bigint, 'c4n4ry')",
    "insert into p values (null, 'c4n4ry')",
    "insert into p values (1, 'too long c4n4ry c4n4ry c4n4ry c4n4ry')",
    "insert into p values (-1, 'c4n4ry')",
    "insert into c values (77347734, 'c4n4ry')",
    "insert into c values (5, 'c4n4ry')",
    "delete from p where a = 5",
    "insert into parted values (77347734, 'c4n4ry')",
    "insert into excluded values ('[1,5)', 'c4n4ry'), ('[2,6)', 'c4n4ry')",
    "select 'c4n4ry'::short",
    "insert into d values ('c4n4ry-is-too-long-for-this')",
    "create unique index on dup (v)",
    "alter table dup add check (v <> 'c4n4ry')",
    "do $$begin raise exception 'c4n4ry'; end$$",
    "do $$begin raise exception 'c4n4ry' using detail = 'c4n4ry', hint = 'c4n4ry', errcode = '42P01'; end$$",
    "do $$begin raise log 'c4n4ry %', 'c4n4ry'; end$$",
    "do $$begin raise warning 'c4n4ry'; end$$",
    "do $$begin raise log using message = 'checking c4n4ry', errcode = '57014'; end$$",
    "do $$begin execute format('select %L::int', 'c4n4ry'); end$$",
    "do $$declare x int; begin x := 'c4n4ry'; end$$",
    "do $$begin perform 1 from p where b = 'c4n4ry' and f('c4n4ry') = 1; end$$",
    "select f('c4n4ry')",
    "select g('c4n4ry')",
    "set app.token = c4n4ry",
    "set work_mem = 'c4n4ry'",
    "set work_mem = '1kB'",
    "set datestyle = c4n4ry",
    "set timezone = 'c4n4ry'",
    "begin; set local app.token = c4n4ry; select 'c4n4ry'::int",
    "rollback",
    "alter role monitor password 'c4n4ry' valid until 'c4n4ry'",
    "create role postgres password 'c4n4ry'",
    "create subscription s connection 'host=127.0.0.1 port=1 password=c4n4ry' publication p",
    "prepare q as select $1::int; execute q('c4n4ry')",
    "execute nothing('c4n4ry')",
    "declare nothing cursor for select 'c4n4ry'",
    "begin; select 1/0; ",
    "select 'c4n4ry'",
    "rollback",
    "begin; begin; commit; commit",
    "begin read only; insert into p values (3, 'c4n4ry')",
    "rollback",
    "vacuum full p, nothing; select 'c4n4ry'",
    "drop table p",
    "lock table p",
    "select set_config('app.token', 'c4n4ry', false), 'c4n4ry'::int",
    "select pg_notify('ch', 'c4n4ry' || 1/0)",
    "select lo_import('/c4n4ry')",
    "select xmlparse(document 'c4n4ry')",
    "select encode('c4n4ry', 'c4n4ry')",
    "select query_to_xml('select ''c4n4ry'' 1', true, true, 'c4n4ry')",
    "select json_populate_record(null::p, '{\"a\": \"c4n4ry\"}')",
    "select ('{\"a\": \"c4n4ry\"}'::jsonb -> 'a')::int",
    "select format('%c4n4ry', 1)",
    "select substring('c4n4ry' from 1 for -1)",
    "select array['c4n4ry'] || array[['c4n4ry']]",
    "select exp(7734773477)",
    "select make_date(7734, 77, 34)",
    "create table bad (a int default 'c4n4ry')",
    "create table p (a int)",
    "grant select on nothing to monitor",
    "begin; set local role nobody_c; select * from p where b = 'c4n4ry'",
    "rollback",
];

const SCHEMA: &str = "
create type mood as enum ('sad', 'ok');
create type t_range as range (subtype = text);
create domain short as varchar(3);
create domain small as varchar(10) check (value <> 'c4n4ry');
create table d (a small);
create table p (a bigint primary key check (a > 0), b varchar(20));
create table c (a bigint references p, b text);
create table parted (a bigint, b text) partition by range (a);
create table excluded (a int4range, b text, exclude using gist (a with &&));
create table dup (v text); insert into dup values ('c4n4ry'), ('c4n4ry');
create table busy (a int primary key, v text); insert into busy values (1, 'c4n4ry'), (2, 'c4n4ry');
create table damaged (a int, v text); insert into damaged values (1, 'c4n4ry');
create function f(x text) returns int language plpgsql as $$begin return x::int; end$$;
create function g(x text) returns int language sql as $$select f(x)$$;
create role nobody_c login; alter role nobody_c password null;
create role limited login connection limit 0;
insert into p values (5, 'x'); insert into c values (5, 'x');";

/// Everything that does not stop the server.
pub(crate) async fn provoke(cluster: &Cluster) {
    cluster.sql("postgres", SCHEMA).await.unwrap();
    cluster.sql("postgres", &format!("alter role limited password '{}'", cluster.password())).await.unwrap();
    let client = cluster.client("postgres").await.unwrap();
    for statement in STATEMENTS {
        // Most fail; what matters is what is logged.
        drop(client.simple_query(statement).await);
    }
    extended(&client).await;
    copies(&client).await;
    slow(cluster).await;
    waits(cluster).await;
    sessions(cluster).await;
    server(cluster).await;
}

/// Parameters of the extended protocol.
async fn extended(client: &Client) {
    let bad = client.query("select $1::text::int", &[&CANARY]).await;
    assert!(bad.is_err());
    let twice = "insert into p values ($1, $2)";
    for _ in 0..2 {
        drop(client.execute(twice, &[&7_734_773_477_i64, &CANARY]).await);
    }
    drop(client.execute(twice, &[&-7_734_773_477_i64, &CANARY]).await);
}

async fn copies(client: &Client) {
    use futures::SinkExt as _;
    for rows in ["c4n4ry\tc4n4ry\n", "7734773477\n", "1\tc4n4ry\tc4n4ry\n", "9\tmuch too long: c4n4ry c4n4ry\n"] {
        let sink = client.copy_in::<_, bytes::Bytes>("copy p from stdin").await.unwrap();
        futures::pin_mut!(sink);
        drop(sink.send(bytes::Bytes::from_static(rows.as_bytes())).await);
        assert!(sink.close().await.is_err(), "{rows}");
    }
}

/// Durations, plans, temporary files.
async fn slow(cluster: &Cluster) {
    let client = cluster.client("postgres").await.unwrap();
    client.batch_execute("set log_min_duration_statement = 0").await.unwrap();
    client.simple_query("select 'c4n4ry', 7734773477").await.unwrap();
    client.query("select $1::text || 'c4n4ry'", &[&CANARY]).await.unwrap();
    client.batch_execute("reset log_min_duration_statement; set log_duration = on; select 'c4n4ry'").await.unwrap();
    client.batch_execute("reset log_duration; set log_statement = 'all'").await.unwrap();
    client.batch_execute("select 'c4n4ry', 7734773477; set app.token = c4n4ry").await.unwrap();
    client.query("select $1::text || 'c4n4ry'", &[&CANARY]).await.unwrap();
    client
        .batch_execute("reset log_statement; load 'auto_explain'; set auto_explain.log_min_duration = 0")
        .await
        .unwrap();
    client.batch_execute("set auto_explain.log_analyze = on; set auto_explain.log_verbose = on").await.unwrap();
    for format in ["text", "json", "xml", "yaml"] {
        client.batch_execute(&format!("set auto_explain.log_format = {format}")).await.unwrap();
        let lines = "select a, b || 'c4n4ry\n  Seq Scan on c4n4ry  (cost=1' from p\nwhere b <> 'c4n4ry' and a <> 7734773477 \
                     and b = any ('{c4n4ry}') order by b || 'c4n4ry'";
        client.simple_query(lines).await.unwrap();
        client.query("select * from p join c using (a) where p.b = $1 or c.b > 'c4n4ry'", &[&CANARY]).await.unwrap();
    }
    client.batch_execute("set auto_explain.log_min_duration = -1; set work_mem = '64kB'").await.unwrap();
    let sort = "select count(*) from (select 'c4n4ry' || g as g from generate_series(1, 20000) g order by 1) s";
    client.simple_query(sort).await.unwrap();
}

/// Locks, deadlocks, timeouts, cancels.
async fn waits(cluster: &Cluster) {
    let one = cluster.client("postgres").await.unwrap();
    let two = cluster.client("postgres").await.unwrap();
    one.batch_execute("begin; update busy set v = 'c4n4ry' where a = 1").await.unwrap();
    two.batch_execute("begin; update busy set v = 'c4n4ry' where a = 2").await.unwrap();
    let (first, second) = tokio::join!(
        one.batch_execute("update busy set v = 'c4n4ry 1' where a = 2"),
        two.batch_execute("update busy set v = 'c4n4ry\n2' where a = 1")
    );
    assert!(first.is_err() ^ second.is_err(), "one of them is the victim");
    drop(one.batch_execute("rollback").await);
    drop(two.batch_execute("rollback").await);

    one.batch_execute("begin; update busy set v = 'c4n4ry' where a = 1").await.unwrap();
    two.batch_execute("set lock_timeout = '300ms'").await.unwrap();
    assert!(two.batch_execute("update busy set v = 'c4n4ry' where a = 1").await.is_err());
    two.batch_execute("set lock_timeout = 0; set statement_timeout = '50ms'").await.unwrap();
    assert!(two.batch_execute("select pg_sleep(60), 'c4n4ry'").await.is_err());
    one.batch_execute("rollback; set idle_in_transaction_session_timeout = '50ms'; begin").await.unwrap();
    logged(cluster, "idle-in-transaction timeout", 1).await;

    let three = cluster.client("postgres").await.unwrap();
    let pid = |client: Client| async move {
        let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
        (client, pid)
    };
    let (three, victim) = pid(three).await;
    let killer = cluster.client("postgres").await.unwrap();
    let sleeping = async { three.batch_execute("select pg_sleep(600), 'c4n4ry'").await };
    let cancelling = async {
        let asleep = "select count(*) from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'";
        while killer.query_one(asleep, &[&victim]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        killer.execute("select pg_cancel_backend($1)", &[&victim]).await.unwrap();
    };
    assert!(tokio::join!(sleeping, cancelling).0.is_err());
    killer.execute("select pg_terminate_backend($1)", &[&victim]).await.unwrap();
    logged(cluster, "due to administrator command", 1).await;
}

/// Logins that fail.
async fn sessions(cluster: &Cluster) {
    let url = |user: &str, password: &str, database: &str| {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", cluster.port())
    };
    let right = cluster.password();
    for url in [
        url("postgres", CANARY, "postgres"),
        url("stranger", CANARY, "postgres"),
        url("nobody_c", CANARY, "postgres"),
        url("postgres", right, "no_such_database"),
        url("limited", right, "postgres"),
    ] {
        assert!(tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err(), "{url}");
    }
}

async fn server(cluster: &Cluster) {
    let client = cluster.client("postgres").await.unwrap();
    let slot = "select pg_create_logical_replication_slot('s', 'test_decoding')";
    client.simple_query(slot).await.unwrap();
    for line in [
        "select pg_drop_replication_slot('s')",
        "alter system set work_mem = '5MB'",
        "alter system set primary_conninfo = 'password=c4n4ry'",
        "select pg_reload_conf()",
        "select pg_switch_wal()",
        "checkpoint",
        "insert into busy select g, 'c4n4ry' from generate_series(10, 500) g",
        "delete from busy where a > 100",
    ] {
        client.simple_query(line).await.unwrap();
    }
    // 14 learns what a session did when it ends.
    drop(client);
    logged(cluster, "archive command failed", 1).await;
    logged(cluster, "automatic vacuum of table", 1).await;
    logged(cluster, "automatic analyze of table", 1).await;
    logged(cluster, "parameter \"work_mem\" changed", 1).await;
}

/// Kills a backend, so that the server recovers, then damages a table and stops.
pub(crate) async fn crash_and_stop(cluster: &Cluster) {
    let victim = cluster.client("postgres").await.unwrap();
    let pid: i32 = victim.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let running = async { victim.batch_execute("select pg_sleep(600), 'c4n4ry'").await };
    let killing = async {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    };
    assert!(tokio::join!(running, killing).0.is_err());
    logged(cluster, "database system is ready to accept", 2).await;

    let client = cluster.client("postgres").await.unwrap();
    client.batch_execute("checkpoint").await.unwrap();
    let file: String = client.query_one("select pg_relation_filepath('damaged')", &[]).await.unwrap().get(0);
    drop(client);
    cluster.stop().await.unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(cluster.data_dir().join(file)).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&[0xC4; 8_192]).unwrap();
    cluster.start_again().await.unwrap();
    let client = cluster.client("postgres").await.unwrap();
    assert!(client.simple_query("select * from damaged where v = 'c4n4ry'").await.is_err());
    drop(client);
    cluster.stop().await.unwrap();
    // The log collector outlives the server that it writes for.
    let endings: &[&str] = if cluster.version() >= 15 { &["log", "csv", "json"] } else { &["log", "csv"] };
    for ending in endings {
        logged_in(cluster, ending, "database system is shut down", 2).await;
    }
}
