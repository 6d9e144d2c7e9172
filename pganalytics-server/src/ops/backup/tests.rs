#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, io::Write, os::unix::fs::PermissionsExt, process::Stdio, sync::Arc};

use pganalytics_store::{
    meta_store::Role,
    sqlite::{SqliteMetaStore, SqliteOptions, SqliteStore},
};

use super::*;
use crate::Admin;

const NOW: i64 = 1_769_860_800;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

/// Both files, as a server has them open.
fn open(folder: &Path) -> (SqliteStore, Arc<SqliteMetaStore>) {
    let metrics = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    (metrics, Arc::new(SqliteMetaStore::open(folder).unwrap()))
}

async fn add(folder: &Path, name: &str) {
    Admin::new(open(folder).1).add_user(name, Role::Viewer).await.unwrap();
}

/// Whether a user is in a store: it can't be added again.
async fn has(folder: &Path, name: &str) -> bool {
    Admin::new(open(folder).1).add_user(name, Role::Viewer).await.is_err()
}

/// Names and bytes of all files below, but for the locks.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything(&path));
        } else if path.extension().is_none_or(|end| end != "lock") {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}

struct Places {
    _folder: tempfile::TempDir,
    store: PathBuf,
    backups: PathBuf,
    other: PathBuf,
}

fn places() -> Places {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    Places { store: place("store"), backups: place("backups/"), other: place("other"), _folder: folder }
}

fn request(output: &Path, keep: Option<usize>, verify: bool) -> Request {
    Request { output: output.join(""), keep, verify }
}

#[tokio::test]
async fn what_is_backed_up_while_it_is_open_comes_back_elsewhere() {
    let places = places();
    add(&places.store, "ada").await;
    let held = open(&places.store);
    let made = make(&places.store, &request(&places.backups, None, true), at(0)).unwrap();
    drop(held);
    assert_eq!(made.file, places.backups.join("pganalytics-20260131T120000Z.backup"));
    assert_eq!(fs::metadata(&made.file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&places.backups).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(made.checked.is_some() && is_verified(&made.file));
    assert_eq!(list(&places.backups).unwrap(), std::slice::from_ref(&made.file));
    assert_eq!(check(&made.file).unwrap().0, made.manifest);
    // Nothing is left of the work.
    assert_eq!(everything(&places.backups).len(), 2);

    let restored = restore(&made.file, &places.other, false, at(60)).unwrap();
    assert_eq!((restored.manifest, restored.before), (made.manifest, None));
    assert!(has(&places.other, "ada").await && !has(&places.other, "bob").await);
}

#[tokio::test]
async fn a_store_that_is_there_is_replaced_only_when_asked_and_then_kept() {
    let places = places();
    add(&places.store, "ada").await;
    let made = make(&places.store, &request(&places.backups, None, false), at(0)).unwrap();
    assert!(!is_verified(&made.file));
    add(&places.other, "bob").await;
    let before = everything(&places.other);
    let error = restore(&made.file, &places.other, false, at(1)).unwrap_err();
    assert!(error.to_string().contains("--replace"), "{error}");
    assert_eq!(everything(&places.other), before);
    let held = open(&places.other);
    let error = restore(&made.file, &places.other, true, at(1)).unwrap_err();
    assert!(error.to_string().contains("open for writing"), "{error}");
    drop(held);
    assert!(has(&places.other, "bob").await);
    for round in 0..2 {
        let restored = restore(&made.file, &places.other, true, at(1)).unwrap();
        let kept = restored.before.unwrap();
        assert_eq!(has(&kept, "bob").await, round == 0, "the second time it is the backup that is kept");
        assert!(!is_unfinished(&places.other));
    }
    assert!(has(&places.other, "ada").await && !has(&places.other, "bob").await);
}

#[tokio::test]
async fn a_restore_that_was_broken_off_is_known_and_done_anew() {
    let places = places();
    add(&places.store, "ada").await;
    let made = make(&places.store, &request(&places.backups, None, false), at(0)).unwrap();
    fs::create_dir(&places.other).unwrap();
    fs::write(places.other.join("restore.unfinished"), "").unwrap();
    fs::write(store::files(&places.other).first().unwrap(), "half a file").unwrap();
    assert!(is_unfinished(&places.other));
    restore(&made.file, &places.other, false, at(1)).unwrap();
    assert!(!is_unfinished(&places.other) && has(&places.other, "ada").await);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_is_touched() {
    let places = places();
    add(&places.store, "ada").await;
    add(&places.other, "bob").await;
    let made = make(&places.store, &request(&places.backups, None, false), at(0)).unwrap();
    let good = fs::read(&made.file).unwrap();
    let before = everything(&places.other);
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&made.file, bytes).unwrap();
        let error = restore(&made.file, &places.other, true, at(1));
        let Err(error) = error else { panic!("{what}: it was restored") };
        assert!(matches!(error, BackupError::Damaged(_) | BackupError::Io { .. }), "{what}: {error}");
    };
    for part in 0..40 {
        let at = good.len() * part / 40;
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        refused(&flipped, &format!("a bit at {at} of {}", good.len()));
        refused(&good[..at], &format!("cut at {at}"));
    }
    refused(&[&good[..], &good[..]].concat(), "twice the same");
    refused(b"not a backup at all", "nonsense");
    refused(&zstd::encode_all(&[0_u8; 2048][..], 3).unwrap(), "an empty archive");
    assert_eq!(everything(&places.other), before);
    fs::write(&made.file, &good).unwrap();
    restore(&made.file, &places.other, true, at(1)).unwrap();
}

#[tokio::test]
async fn a_store_without_its_users_is_no_backup_of_a_server() {
    let places = places();
    add(&places.store, "ada").await;
    let made = make(&places.store, &request(&places.backups, None, false), at(0)).unwrap();
    let names: Vec<&str> = made.manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["metrics.db", "meta.db"]);
    fs::remove_file(places.store.join("meta.db")).unwrap();
    let error = make(&places.store, &request(&places.backups, None, false), at(1)).unwrap_err();
    assert!(error.to_string().contains("no meta.db"), "{error}");
    // One that was made by hand.
    let half = places.backups.join("half");
    archive::write(private(&half).unwrap(), &[places.store.join("metrics.db")], at(0)).unwrap();
    for error in [check(&half).unwrap_err(), restore(&half, &places.other, false, at(1)).unwrap_err()] {
        assert!(error.to_string().contains("another kind of store"), "{error}");
    }
}

#[tokio::test]
async fn names_that_leave_the_folder_and_foreign_manifests_are_refused() {
    let places = places();
    add(&places.store, "ada").await;
    let made = make(&places.store, &request(&places.backups, None, false), at(0)).unwrap();
    let good = zstd::decode_all(&fs::read(&made.file).unwrap()[..]).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let packed = places.backups.join("changed");
        fs::write(&packed, zstd::encode_all(&bytes[..], 3).unwrap()).unwrap();
        restore(&packed, &places.other, false, at(1)).unwrap_err().to_string()
    };
    let resum = |bytes: &mut Vec<u8>| {
        let sum: u64 = (0..512).map(|at| if (148..156).contains(&at) { 32 } else { u64::from(bytes[at]) }).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    };
    for name in ["../out", "/etc/passwd", ".hidden", "a/b"] {
        let error = changed(&|bytes| {
            bytes[..100].fill(0);
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            resum(bytes);
        });
        assert!(error.contains("no backup of this program"), "{name}: {error}");
    }
    // Links, folders, devices, and headers that speak of the file behind them.
    for kind in *b"12345LKxgS" {
        let error = changed(&|bytes| {
            bytes[156] = kind;
            resum(bytes);
        });
        assert!(error.contains("no backup of this program"), "kind {}: {error}", char::from(kind));
    }
    let error = changed(&|bytes| {
        bytes[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0]);
        resum(bytes);
    });
    assert!(error.contains("MB free"), "a size that no disk has: {error}");
    let error = changed(&|bytes| {
        let at = bytes.windows(11).rposition(|text| text == b"\"format\": 1").unwrap();
        bytes[at + 10] = b'2';
    });
    assert!(error.contains("format is 2"), "{error}");
    assert!(!places.other.exists() || everything(&places.other).is_empty());
}

#[tokio::test]
async fn only_the_newest_are_kept_and_never_is_the_new_one_removed() {
    let places = places();
    add(&places.store, "ada").await;
    fs::create_dir(&places.backups).unwrap();
    let foreign = places.backups.join("pganalytics-of-mine.backup");
    fs::write(&foreign, "mine").unwrap();
    for day in 0..4 {
        make(&places.store, &request(&places.backups, Some(2), true), at(day * 86_400)).unwrap();
    }
    let names = |folder: &Path| -> Vec<String> {
        list(folder).unwrap().iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&places.backups), ["pganalytics-20260202T120000Z.backup", "pganalytics-20260203T120000Z.backup"]);
    assert_eq!(everything(&places.backups).len(), 5, "two, their notes, and what is not ours");
    // A clock that was put back gives the newest the oldest name.
    let made = make(&places.store, &request(&places.backups, Some(1), false), at(-86_400)).unwrap();
    assert_eq!(list(&places.backups).unwrap(), [made.file]);
    assert!(foreign.exists());
    let stale = places.backups.join(".pganalytics-killed");
    fs::create_dir(&stale).unwrap();
    let long_ago = SystemTime::now() - Duration::from_hours(48);
    fs::File::open(&stale).unwrap().set_modified(long_ago).unwrap();
    make(&places.store, &request(&places.backups, Some(1), false), at(7)).unwrap();
    assert!(!stale.exists(), "what a killed backup left is removed after a day");
}

#[tokio::test]
async fn what_can_not_be_done_is_refused_before_anything_is_written() {
    let places = places();
    add(&places.store, "ada").await;
    let file = places.store.join("taken");
    fs::write(&file, "mine").unwrap();
    assert!(make(&places.store, &Request::new(&file), at(0)).unwrap_err().to_string().contains("not overwritten"));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let mut one = Request::new(places.store.join("new"));
    one.keep = Some(1);
    assert!(make(&places.store, &one, at(0)).unwrap_err().to_string().contains("in a folder only"));
    let nothing = places.other.join("nothing");
    assert!(make(&nothing, &request(&places.backups, None, false), at(0)).is_err());
    assert!(!nothing.exists() && everything(&places.backups).is_empty());
    let error = need_room(&places.store, u64::MAX).unwrap_err().to_string();
    assert!(error.contains("MB are needed"), "{error}");
}

#[tokio::test]
async fn tar_reads_it() {
    let places = places();
    add(&places.store, "ada").await;
    let made = make(&places.store, &Request::new(places.store.join("one")), at(0)).unwrap();
    let bytes = zstd::decode_all(&fs::read(&made.file).unwrap()[..]).unwrap();
    let mut tar = std::process::Command::new("tar");
    let mut tar = tar.args(["-tf", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    tar.stdin.take().unwrap().write_all(&bytes).unwrap();
    let listed = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
    let mut names: Vec<&str> = made.manifest.files.iter().map(|file| file.name.as_str()).collect();
    names.push("manifest.json");
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
}
