//! Backups of a real cluster by a real pgBackRest.

use std::{path::Path, process::Command, time::Duration};

use pganalytics_collect::{
    Collected, Collector, HostCollector, Outcome,
    pgbackrest::{PgBackRestCollector, PgBackRestSettings},
};
use pganalytics_core::{Batch, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{batches, context, failure, outcome, value};

/// The newest version that Debian's pgBackRest 2.45 knows.
const NEWEST: u16 = 15;

fn is_installed() -> bool {
    Command::new("pgbackrest").arg("version").output().is_ok_and(|output| output.status.success())
}

/// Runs pgBackRest as the account of the cluster's files.
fn backrest(config: &Path, owner: &Path, arguments: &[&str]) {
    use std::os::unix::{fs::MetadataExt, process::CommandExt};
    let owner = std::fs::metadata(owner).unwrap();
    let mut command = Command::new("pgbackrest");
    command.arg(format!("--config={}", config.display())).arg("--stanza=main").args(arguments);
    if std::fs::metadata("/proc/self").unwrap().uid() != owner.uid() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn collector(settings: &str) -> PgBackRestCollector {
    let settings: PgBackRestSettings = toml::from_str(settings).unwrap();
    PgBackRestCollector::new(settings.resolve().unwrap(), HostCollector::default().source())
}

async fn visit(collector: &mut PgBackRestCollector) -> Collected {
    let cx = context(collector, Duration::from_secs(120));
    collector.collect(&cx).await.unwrap()
}

fn info(collected: &Collected) -> &Batch {
    batches(collected, "pgbackrest_info").next().unwrap_or_else(|| panic!("{:#?}", collected.reports))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stanza_from_its_creation_to_three_backups() {
    if !is_installed() {
        eprintln!("!!! NOT TESTED: pgbackrest is not installed");
        assert!(std::env::var("PGANALYTICS_REQUIRE_PG").is_err(), "pgbackrest is required");
        return;
    }
    let Some(version) = versions().into_iter().rfind(|version| *version <= NEWEST) else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("pgbackrest.conf");
    let cluster = Cluster::builder(version)
        .password(false)
        .setting("archive_mode", "on")
        .setting("wal_level", "replica")
        .start()
        .await
        .unwrap();
    open_to(cluster.data_dir(), folder.path());
    let (data, socket, here) = (cluster.data_dir().display(), cluster.socket_dir().display(), folder.path().display());
    let text = format!(
        "[global]\nrepo1-path={here}/repo\nlog-level-file=off\nlog-level-console=warn\nlock-path={here}/lock\nspool-path={here}/spool\nstart-fast=y\n\
         [main]\npg1-path={data}\npg1-socket-path={socket}\npg1-port={}\npg1-user=postgres\n",
        cluster.port()
    );
    std::fs::write(&config, text).unwrap();
    let settings = format!("config = '{}'\nstanza = 'main'", config.display());
    let mut watch = collector(&settings);

    let nothing = visit(&mut watch).await;
    assert_eq!(value(info(&nothing), 0, "status"), Value::Text("missing stanza path"));
    let run = |arguments: &[&str]| backrest(&config, cluster.data_dir(), arguments);
    run(&["stanza-create"]);
    // Not before: after failures the archiver waits a minute.
    let archive = format!("pgbackrest --config={} --stanza=main archive-push %p", config.display());
    cluster.sql("postgres", &format!("alter system set archive_command = '{archive}'")).await.unwrap();
    cluster.sql("postgres", "select pg_reload_conf()").await.unwrap();
    let created = visit(&mut watch).await;
    assert_eq!(value(info(&created), 0, "status"), Value::Text("no valid backups"));
    assert_eq!(value(info(&created), 0, "last_full"), Value::Null);

    for kind in ["full", "diff", "incr"] {
        cluster.sql("postgres", &format!("create table of_{kind} (a int)")).await.unwrap();
        run(&["backup", &format!("--type={kind}")]);
    }
    let full = visit(&mut watch).await;
    let row = info(&full);
    assert_eq!((value(row, 0, "status"), value(row, 0, "status_code")), (Value::Text("ok"), Value::Int(0)));
    assert_eq!((value(row, 0, "backups"), value(row, 0, "full_backups")), (Value::Int(3), Value::Int(1)));
    assert_eq!((value(row, 0, "last_type"), value(row, 0, "last_error")), (Value::Text("incr"), Value::Bool(false)));
    assert_eq!(value(row, 0, "wal_covers_backups"), Value::Bool(true));
    let backups = batches(&full, "pgbackrest_backup").next().unwrap();
    let types: Vec<_> = (0..backups.rows.len()).map(|row| value(backups, row, "type")).collect();
    assert_eq!(types, ["incr", "diff", "full"].map(Value::Text));
    assert!(matches!(value(backups, 0, "size"), Value::Int(size) if size > 1_000_000));

    // The repository is damaged: pgBackRest says so, and so does the agent.
    let broken = folder.path().join("repo/backup/main");
    std::fs::write(broken.join("backup.info"), "nonsense").unwrap();
    std::fs::write(broken.join("backup.info.copy"), "nonsense").unwrap();
    let failed = visit(&mut watch).await;
    match outcome(&failed, "pgbackrest_info") {
        Outcome::Failed { message } => assert!(message.contains("ERROR") || message.contains("exit"), "{message}"),
        Outcome::Collected { .. } => assert_ne!(value(info(&failed), 0, "status_code"), Value::Int(0)),
        other => panic!("{other:?}"),
    }
}

/// Lets the account of a folder write into another.
fn open_to(owner: &Path, folder: &Path) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let owner = std::fs::metadata(owner).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    if std::fs::metadata(folder).unwrap().uid() != owner.uid() {
        chown(folder, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

#[tokio::test]
async fn what_can_not_be_run_or_read_is_told() {
    let missing = visit(&mut collector("command = ['/no/such/pgbackrest']")).await;
    assert!(
        matches!(outcome(&missing, "pgbackrest_info"), Outcome::Unsupported { reason } if reason.contains("install"))
    );
    // What it writes is followed by our arguments, and is no JSON.
    let garbage = visit(&mut collector("command = ['echo', 'hello']")).await;
    assert!(failure(&garbage, "pgbackrest_backup").contains("is not what pgbackrest info writes"));
    assert!(garbage.batches.is_empty());
    let nothing = visit(&mut collector("command = ['sh', '-c', 'echo []']")).await;
    assert!(failure(&nothing, "pgbackrest_info").contains("knows of no stanza"));
}
