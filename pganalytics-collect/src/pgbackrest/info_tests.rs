//! What pgBackRest 2.45 wrote, recorded; and what others write.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

macro_rules! recorded {
    ($name:literal) => {
        read(include_bytes!(concat!("../../tests/fixtures/pgbackrest/", $name, ".json"))).unwrap()
    };
}

#[test]
fn a_full_a_diff_and_an_incr() {
    let rows = recorded!("full_diff_incr");
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.stanza.as_str(), row.repo.as_str(), row.status_code, row.status.as_str()), ("main", "1", 0, "ok"));
    assert_eq!((row.pg_version.as_deref(), row.backup_running), (Some("15"), false));
    assert_eq!(row.last_of("full"), Some(1_795_236_985));
    assert_eq!(row.last_of("diff"), Some(1_795_236_987));
    assert_eq!(row.last_of("incr"), Some(1_795_236_990));
    let last = row.last().unwrap();
    assert_eq!((last.kind.as_str(), last.duration(), last.error), ("incr", Some(2), Some(false)));
    assert_eq!(
        (last.size, last.delta, last.repo_size, last.repo_delta),
        (Some(34_604_848), Some(8458), Some(5_933_066), Some(470))
    );
    assert_eq!(row.wal_min.as_deref(), Some("000000010000000000000001"));
    assert_eq!(row.wal_covers_backups, Some(true));
    assert_eq!((row.count(|_| true), row.count(|backup| backup.kind == "full")), (3, 1));
}

#[test]
fn states_that_are_not_well() {
    assert!(recorded!("backup_running")[0].backup_running);
    let missing = &recorded!("missing_stanza")[0];
    assert_eq!((missing.status_code, missing.status.as_str()), (1, "missing stanza path"));
    let none = &recorded!("no_backup")[0];
    assert_eq!((none.status_code, none.wal_min.as_deref(), none.wal_covers_backups), (2, None, None));
    assert_eq!((none.last().is_none(), none.system_identifier.as_deref()), (true, Some("7710481449195661675")));
    assert_eq!(recorded!("no_repo"), []);
}

#[test]
fn two_repositories_and_an_upgrade() {
    let json = br#"[{"name":"s","repo":[{"key":2,"status":{"code":0,"message":"ok"}},{"key":1,"status":{"code":99,"message":"other"}}],
        "db":[{"id":1,"repo-key":2,"version":"14"},{"id":2,"repo-key":2,"version":"15"}],
        "archive":[{"database":{"id":2,"repo-key":2},"min":"000000020000000000000004","max":"000000020000000000000009"},
                   {"database":{"id":1,"repo-key":2},"min":"000000010000000000000001","max":"000000010000000000000002"}],
        "backup":[{"label":"a","type":"full","database":{"id":2,"repo-key":2},"archive":{"start":"000000010000000000000003","stop":"000000010000000000000005"},
                   "timestamp":{"start":1,"stop":2},"info":{"size":7,"repository":{"delta":3}}}],
        "status":{"code":4,"lock":{"backup":{"held":true,"size":100,"size-cplt":40},"restore":{"held":false}},"message":"mixed"}}]"#;
    let rows = read(json).unwrap();
    assert_eq!(rows.iter().map(|row| (row.repo.as_str(), row.status_code)).collect::<Vec<_>>(), [("1", 99), ("2", 0)]);
    assert_eq!((rows[0].backups.len(), rows[1].backups.len()), (0, 1));
    assert_eq!((rows[1].pg_version.as_deref(), rows[1].backups[0].pg_version.as_deref()), (Some("15"), Some("15")));
    assert_eq!((rows[1].backup_done, rows[1].backup_total), (Some(40), Some(100)));
    // Segment 3 is gone that the backup needs.
    assert_eq!(rows[1].wal_covers_backups, Some(false));
}

#[test]
fn before_there_were_lists_of_repositories() {
    let json = br#"[{"name":"old","cipher":"none","db":[{"id":1,"system-id":1,"version":"12"}],"archive":[{"database":{"id":1},"id":"12-1","max":null,"min":null}],
        "backup":[{"label":"b","type":"full","database":{"id":1},"error":null}],"status":{"code":0,"message":"ok"}}]"#;
    let rows = read(json).unwrap();
    assert_eq!((rows.len(), rows[0].repo.as_str(), rows[0].backups.len(), rows[0].backups[0].error), (1, "1", 1, None));
}

#[test]
fn garbage_is_an_error_that_shows_none_of_it() {
    for garbage in [&b""[..], b"password=hush", b"{}", b"[{\"name\":7}]", &[0xff, 0xfe], "[".repeat(100_000).as_bytes()]
    {
        let error = read(garbage).unwrap_err();
        assert!(error.contains("pgbackrest info") && !error.contains("hush"), "{error}");
    }
}
