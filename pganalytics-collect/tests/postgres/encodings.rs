//! One odd byte costs one value, never a measurement, a database or the cluster.

use pganalytics_collect::{Collected, Outcome};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, config, everything, text};

const ENCODINGS: [&str; 5] = ["SQL_ASCII", "LATIN1", "WIN1252", "EUC_JP", "KOI8R"];

async fn cluster(version: u16) -> Cluster {
    let cluster = Cluster::builder(version).with_statements().start().await.unwrap();
    for encoding in ENCODINGS {
        let name = encoding.to_lowercase();
        let sql =
            format!("create database {name} encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'");
        cluster.sql("postgres", &sql).await.unwrap();
        // A table and a statement in the bytes of the database, and in SQL_ASCII in those of nobody.
        // `execute` gets them past the client's encoding.
        let letters = match encoding {
            "EUC_JP" => "\\xc6fccbdc",
            _ => "\\xe9e8",
        };
        let make = format!(
            "create extension pg_stat_statements;
             do $$ begin
               execute convert_from_bytes('{letters}', 'create table \"t_%s\" (a int)');
               execute convert_from_bytes('{letters}', 'select 1 as \"c_%s\"');
             end $$"
        );
        // Bytes as they are become text without a look at them.
        let helper = "create function convert_from_bytes(bytes bytea, form text) returns text language plpgsql as $$
                      begin return replace(form, '%s', convert_from(bytes, getdatabaseencoding())); end $$";
        cluster.sql(&name, helper).await.unwrap();
        cluster.sql(&name, &make).await.unwrap();
    }
    // A name that is UTF-8, in the statements that all others see.
    cluster.sql("postgres", "create table \"日本\" (a int)").await.unwrap();
    cluster
}

fn failed(collected: &Collected) -> Vec<(&str, &str)> {
    let reports = collected.reports.iter().filter_map(|report| match &report.outcome {
        Outcome::Failed { message } => Some((report.measurement.as_str(), message.as_str())),
        _ => None,
    });
    reports.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_several_encodings_are_all_watched() {
    let all = versions();
    let Some((first, last)) = all.first().zip(all.last()) else { return };
    for version in [*first, *last] {
        let cluster = cluster(version).await;
        for home in ["postgres", "sql_ascii", "latin1", "euc_jp"] {
            let config = config(&cluster.monitor_url(home));
            let mut watch = Watch::with(config, everything());
            let collected = watch.visit().await;
            assert_eq!(failed(&collected), [], "{version}, from {home}");
            // From the one that takes all texts, whichever database is home.
            let texts = batches(&collected, "pg_query_text").map(|batch| batch.rows.len()).sum::<usize>();
            assert!(texts > 10, "{version}, from {home}: {texts} texts");
            let tables: Vec<_> = batches(&collected, "pg_stat_user_tables")
                .flat_map(|batch| (0..batch.rows.len()).filter_map(|row| text(batch, row, "relname")))
                .collect();
            for table in ["t_éè", "t_日本", "t_\u{fffd}\u{fffd}", "日本"] {
                assert!(tables.contains(&table), "{version}, from {home}: no {table} in {tables:?}");
            }
            // In the bytes of KOI8-R.
            assert!(tables.contains(&"t_ИХ"), "{version}, from {home}: {tables:?}");
        }
        // Where no database in UTF8 has the extension, the texts alone are missing.
        cluster.sql("postgres", "drop extension pg_stat_statements").await.unwrap();
        let collected = Watch::with(config(&cluster.monitor_url("latin1")), everything()).visit().await;
        let [("pg_query_text", message)] = failed(&collected)[..] else { panic!("{:?}", failed(&collected)) };
        assert!(message.contains("CREATE EXTENSION pg_stat_statements in a database in UTF8"), "{message}");
    }
}
