//! Who waits for whom: queues, deadlocks, transactions that were prepared and
//! forgotten.

use pganalytics_core::Batch;
use pganalytics_testkit::{Cluster, versions};
use tokio_postgres::Client;

use crate::watch::{Watch, float, int, only, row_where, text};

/// A session with a name, and its process id.
async fn session(cluster: &Cluster, name: &str) -> (Client, i64) {
    let client = cluster.client("postgres").await.unwrap();
    client.batch_execute(&format!("set application_name = '{name}'")).await.unwrap();
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    (client, i64::from(pid))
}

/// Runs a statement that will wait.
fn run(client: Client, sql: &'static str) {
    // It ends when the cluster stops, or when its turn comes.
    tokio::spawn(async move { drop(client.batch_execute(sql).await) });
}

fn of(batch: &Batch, pid: i64) -> Option<usize> {
    (0..batch.rows.len()).find(|&row| int(batch, row, "pid") == Some(pid))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_three_deep_is_a_tree_with_a_root() {
    let all = versions();
    let Some((first, last)) = all.first().zip(all.last()) else { return };
    for version in [*first, *last] {
        let cluster = Cluster::builder(version).start().await.unwrap();
        cluster.sql("postgres", "create table t (id int primary key, v text)").await.unwrap();
        cluster.sql("postgres", "insert into t values (1), (2), (3)").await.unwrap();
        let (a, root) = session(&cluster, "a").await;
        let (b, second) = session(&cluster, "b").await;
        let (c, third) = session(&cluster, "c").await;
        let (d, fourth) = session(&cluster, "d").await;
        a.batch_execute("begin; update t set v = 'c4n4ry' where id = 1").await.unwrap();
        b.batch_execute("begin; update t set v = 'b' where id = 2").await.unwrap();
        c.batch_execute("begin; update t set v = 'c' where id = 3").await.unwrap();
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_blocking", "pg_locks"]));
        let quiet = watch.until("pg_blocking", "nothing", |batch| batch.rows.is_empty()).await;
        assert!(quiet.rows.is_empty());

        run(b, "update t set v = 'c4n4ry' where id = 1");
        run(c, "update t set v = 'c4n4ry' where id = 2");
        run(d, "update t set v = 'c4n4ry' where id = 3");
        let tree = watch.until("pg_blocking", "three that wait", |batch| batch.rows.len() == 3).await;
        for (pid, blocker, depth) in [(second, root, 1), (third, second, 2), (fourth, third, 3)] {
            let row = of(&tree, pid).unwrap();
            assert_eq!(int(&tree, row, "blocker_pid"), Some(blocker), "{version}");
            assert_eq!(text(&tree, row, "blocked_by"), Some(blocker.to_string().as_str()), "{version}");
            assert_eq!(int(&tree, row, "root_pid"), Some(root), "{version}");
            assert_eq!(int(&tree, row, "depth"), Some(depth), "{version}");
            assert_eq!(text(&tree, row, "lock_type"), Some("transactionid"), "{version}");
            assert_eq!(text(&tree, row, "lock_mode"), Some("ShareLock"), "{version}");
            // The row that it wants is one of this table.
            assert_eq!(text(&tree, row, "relname"), Some("public.t"), "{version}");
            assert_eq!(text(&tree, row, "root_application_name"), Some("a"), "{version}");
            assert_eq!(text(&tree, row, "root_state"), Some("idle in transaction"), "{version}");
            assert!(float(&tree, row, "wait_age").unwrap() >= 0.0, "{version}");
            for query in ["query", "blocker_query", "root_query"] {
                let query = text(&tree, row, query).unwrap();
                assert!(query.contains("update t set v = '…' where id = ?"), "{version}: {query}");
            }
        }
        let locks = watch.until("pg_locks", "them too", |locks| {
            row_where(locks, &[("datname", ""), ("mode", "ShareLock")])
                .is_some_and(|row| int(locks, row, "waiting") == Some(3))
        });
        let locks = locks.await;
        let row = row_where(&locks, &[("datname", "postgres"), ("mode", "RowExclusiveLock")]).unwrap();
        assert!(int(&locks, row, "granted").unwrap() >= 4, "{version}: the table and its index, by all four");
        assert_eq!(int(&locks, row, "count"), int(&locks, row, "granted"), "{version}");
        assert_eq!(float(&locks, row, "max_wait_age"), None, "{version}");

        // Somebody wants the whole table, and everybody waits behind.
        let (e, fifth) = session(&cluster, "e").await;
        run(e, "begin; lock table t in access exclusive mode");
        let (f, sixth) = session(&cluster, "f").await;
        watch.until("pg_blocking", "the fifth", |batch| of(batch, fifth).is_some()).await;
        run(f, "select * from t");
        let tree = watch.until("pg_blocking", "the sixth", |batch| of(batch, sixth).is_some()).await;
        let row = of(&tree, sixth).unwrap();
        assert_eq!(int(&tree, row, "blocker_pid"), Some(fifth), "{version}");
        assert_eq!(int(&tree, row, "root_pid"), Some(root), "{version}: the one that does not wait");
        assert_eq!(int(&tree, row, "depth"), Some(2), "{version}");
        assert_eq!(text(&tree, row, "lock_mode"), Some("AccessShareLock"), "{version}");
        assert_eq!(text(&tree, row, "relname"), Some("public.t"), "{version}");

        // The root goes, and the whole queue dissolves.
        a.batch_execute("rollback").await.unwrap();
        watch.until("pg_blocking", "no more of the second", |batch| of(batch, second).is_none()).await;
        assert_eq!(cluster.errors_in_log().unwrap(), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_counted() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).setting("deadlock_timeout", "50ms").start().await.unwrap();
    cluster.sql("postgres", "create table t (id int primary key, v int); insert into t values (1), (2)").await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_database"]));
    let deadlocks = |batch: &Batch| {
        let row = row_where(batch, &[("datname", "postgres")]).unwrap();
        int(batch, row, "deadlocks").unwrap()
    };
    let before = watch.until("pg_stat_database", "a row", |batch| !batch.rows.is_empty()).await;
    let (a, _) = session(&cluster, "a").await;
    let (b, _) = session(&cluster, "b").await;
    a.batch_execute("begin; update t set v = 1 where id = 1").await.unwrap();
    b.batch_execute("begin; update t set v = 1 where id = 2").await.unwrap();
    let (one, two) = tokio::join!(
        a.batch_execute("update t set v = 2 where id = 2; rollback"),
        b.batch_execute("update t set v = 2 where id = 1; rollback")
    );
    assert_ne!(one.is_ok(), two.is_ok(), "the server ends one of them");
    drop((a, b));
    let count = deadlocks(&before) + 1;
    watch.until("pg_stat_database", "the deadlock", |batch| deadlocks(batch) == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_holds_locks_and_the_horizon() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).setting("max_prepared_transactions", "5").start().await.unwrap();
    cluster.sql("postgres", "create table t (id int primary key, v int); insert into t values (1)").await.unwrap();
    cluster.sql("postgres", "begin; update t set v = 1; prepare transaction 'shop-1'").await.unwrap();
    for _ in 0..3 {
        cluster.sql("postgres", "insert into t select max(id) + 1 from t").await.unwrap();
    }
    let (a, pid) = session(&cluster, "a").await;
    run(a, "update t set v = 2 where id = 1");
    let mut watch =
        Watch::new(&cluster.monitor_url("postgres"), only(&["pg_blocking", "pg_prepared_xacts", "pg_xmin_horizon"]));
    let tree = watch.until("pg_blocking", "who waits", |batch| of(batch, pid).is_some()).await;
    let row = of(&tree, pid).unwrap();
    assert_eq!(text(&tree, row, "blocked_by"), Some("0"));
    assert_eq!((int(&tree, row, "root_pid"), int(&tree, row, "depth")), (Some(0), Some(1)));

    let prepared = watch.until("pg_prepared_xacts", "the transaction", |batch| batch.rows.len() == 1).await;
    assert_eq!(text(&prepared, 0, "gid"), Some("shop-1"));
    assert_eq!(text(&prepared, 0, "datname"), Some("postgres"));
    assert!(int(&prepared, 0, "xid_age").unwrap() >= 3 && float(&prepared, 0, "prepared_age").unwrap() >= 0.0);
    let horizon = watch.until("pg_xmin_horizon", "it too", |batch| row_where(batch, &[("kind", "prepared")]).is_some());
    let horizon = horizon.await;
    let row = row_where(&horizon, &[("kind", "prepared")]).unwrap();
    assert_eq!(text(&horizon, row, "name"), Some("shop-1"));
    assert!(int(&horizon, row, "xmin_age").unwrap() >= 3);

    cluster.sql("postgres", "commit prepared 'shop-1'").await.unwrap();
    watch.until("pg_blocking", "nobody", |batch| batch.rows.is_empty()).await;
    watch.until("pg_prepared_xacts", "none", |batch| batch.rows.is_empty()).await;
}
