//! PgBouncer between.

use pganalytics_collect::{Outcome, postgres::PostgresServer};
use pganalytics_testkit::{Cluster, PgBouncer, versions};

use crate::watch::{Watch, config, everything};

#[tokio::test(flavor = "multi_thread")]
async fn it_works_through_pgbouncer_in_every_mode() {
    if !PgBouncer::is_installed() {
        eprintln!("!!! NOT TESTED: pgbouncer is not installed");
        assert!(std::env::var("PGANALYTICS_REQUIRE_PG").is_err(), "pgbouncer is required");
        return;
    }
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    for (mode, ignored) in [
        ("transaction", "extra_float_digits"),
        ("session", "extra_float_digits"),
        ("transaction", "extra_float_digits,options"),
    ] {
        let pooler = PgBouncer::in_front_of(&cluster)
            .setting("pool_mode", mode)
            .setting("ignore_startup_parameters", ignored)
            // As many as the agent may have: in session mode each keeps a server's session.
            .setting("default_pool_size", "3")
            .start()
            .await
            .unwrap();
        let mut watch = Watch::new(&pooler.url("monitor", "postgres"), everything());
        for _ in 0..3 {
            let collected = watch.visit().await;
            for report in &collected.reports {
                assert!(
                    matches!(report.outcome, Outcome::Collected { .. } | Outcome::Unsupported { .. }),
                    "{mode}, {ignored}: {report:?}"
                );
            }
        }
        drop(watch);
        let check = PostgresServer::new(config(&pooler.url("monitor", "postgres")), everything()).check().await;
        let pooled = check.findings.iter().find(|finding| finding.about == "pooler");
        assert!(pooled.is_some(), "{:#?}", check.findings);
    }
    assert_eq!(cluster.errors_in_log().unwrap(), Vec::<String>::new());
}
