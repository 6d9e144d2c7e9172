//! Databases that nobody may enter cost their server no line in its log.

use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, config, everything, only, text};

fn fatal(cluster: &Cluster) -> Vec<String> {
    let errors = cluster.errors_in_log().unwrap();
    errors.into_iter().filter(|line| line.contains("FATAL")).collect()
}

async fn cluster(version: u16) -> Cluster {
    let cluster = Cluster::builder(version).start().await.unwrap();
    for name in ["closed", "template", "broken", "no_right", "\"full\"", "fine"] {
        cluster.sql("postgres", &format!("create database {name}")).await.unwrap();
    }
    let close = "update pg_database set datallowconn = false where datname = 'closed';
                 update pg_database set datistemplate = true where datname = 'template';
                 update pg_database set datconnlimit = -2 where datname = 'broken';
                 alter database \"full\" connection limit 0;
                 revoke connect on database no_right from public";
    cluster.sql("postgres", close).await.unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_entered_is_not_tried_but_measured_from_outside() {
    for version in versions() {
        let cluster = cluster(version).await;
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), everything());
        for _ in 0..3 {
            let collected = watch.visit().await;
            let inside: Vec<_> = batches(&collected, "pg_stat_user_tables")
                .filter_map(|batch| batch.source.database.as_deref())
                .collect();
            assert_eq!(inside, ["fine", "postgres"], "{version}");
        }
        assert_eq!(fatal(&cluster), Vec::<String>::new(), "{version}");

        let mut sizes = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_database_size"]));
        let collected = sizes.visit().await;
        let mut measured: Vec<_> = batches(&collected, "pg_database_size")
            .flat_map(|batch| (0..batch.rows.len()).filter_map(|row| text(batch, row, "datname")))
            .collect();
        measured.sort_unstable();
        assert_eq!(
            measured,
            ["closed", "fine", "full", "no_right", "postgres", "template", "template0", "template1"],
            "{version}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_named_but_closed_is_tried_seldom() {
    for version in versions() {
        let cluster = cluster(version).await;
        let mut config = config(&cluster.monitor_url("postgres"));
        config.databases = vec!["closed".into(), "fine".into()];
        let mut watch = Watch::with(config, only(&["pg_stat_user_tables"]));
        for _ in 0..4 {
            let collected = watch.visit().await;
            assert_eq!(batches(&collected, "pg_stat_user_tables").count(), 1, "{version}: {:?}", collected.reports);
            let why = format!("{:?}", collected.reports);
            assert!(why.contains("closed"), "{version}: {why}");
        }
        assert_eq!(fatal(&cluster).len(), 1, "{version}: {:?}", fatal(&cluster));
    }
}
