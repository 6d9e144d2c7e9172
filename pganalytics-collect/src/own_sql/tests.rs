//! What the folder promises.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{
    fs,
    os::unix::{ffi::OsStringExt, fs::symlink},
    path::Path,
};

use pganalytics_core::catalog::Catalog;

use super::*;
use crate::Plan;

fn file(name: &str, column: &str) -> String {
    format!(
        "name = '{name}'\nscope = 'cluster'\n[[query]]\nsql = 'select 1 as {column}'\n\
         [[column]]\nname = '{column}'\nkind = 'gauge'\ntype = 'int'\n"
    )
}

struct Folder {
    dir: tempfile::TempDir,
    folder: CatalogFolder,
}

impl Folder {
    fn with(files: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
        Self { folder: CatalogFolder::open(dir.path()), dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&mut self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
        assert!(self.folder.look(true), "{name} has changed");
    }

    fn has(&self, measurement: &str, column: &str) -> bool {
        let found = self.folder.catalog().get(measurement);
        found.is_some_and(|found| found.columns().iter().any(|each| each.name == column))
    }

    fn error(&self, name: &str) -> String {
        let file = self.folder.files().into_iter().find(|file| file.name == name).unwrap();
        file.error.unwrap_or_default()
    }
}

#[test]
fn each_file_stands_for_itself() {
    let folder = Folder::with(&[
        ("a.toml", file("app_a", "n")),
        ("bad.toml", String::from("name = 'bad'\nscope = 'moon'\n")),
        ("builtin.toml", file("pg_up", "n")),
        ("note.txt", String::from("no catalog file")),
    ]);
    assert!(folder.has("app_a", "n") && !folder.has("bad", "n"));
    assert_eq!(folder.folder.catalog().len(), Catalog::builtin().len() + 1);
    assert!(folder.error("bad.toml").starts_with("line 2: scope: "), "{}", folder.error("bad.toml"));
    assert!(folder.error("builtin.toml").contains("already a measurement pg_up"), "{}", folder.error("builtin.toml"));
    assert_eq!((folder.error("a.toml"), folder.folder.files().len()), (String::new(), 3));
    let errors: Vec<_> = folder.folder.errors().iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2);
    let where_it_is = format!("{}/bad.toml:2: scope: ", folder.path().display());
    assert!(errors[0].starts_with(&where_it_is), "{errors:?}");
}

#[test]
fn a_good_version_goes_on_until_there_is_a_better_one() {
    let mut folder = Folder::with(&[("a.toml", file("app_a", "n")), ("b.toml", file("app_b", "n"))]);
    let loaded_at = |folder: &Folder| folder.folder.files()[0].loaded_at.unwrap();
    let first = loaded_at(&folder);
    assert!(!folder.folder.look(true), "nothing has changed");

    folder.write("a.toml", "name = 'app_a'\nscope = 'moon'\n");
    assert!(folder.has("app_a", "n") && folder.error("a.toml").contains("moon"));
    assert_eq!((loaded_at(&folder), folder.folder.files()[0].measurement.as_ref().unwrap().as_str()), (first, "app_a"));
    fs::write(folder.path().join("a.toml"), b"\xff\xfe").unwrap();
    assert!(folder.folder.look(true));
    assert!(folder.has("app_a", "n") && folder.error("a.toml").contains("UTF-8"));

    folder.write("a.toml", &file("app_a", "better"));
    assert!(folder.has("app_a", "better") && folder.error("a.toml").is_empty());
    assert!(loaded_at(&folder) >= first);

    fs::remove_file(folder.path().join("a.toml")).unwrap();
    assert!(folder.folder.look(false), "what is gone is gone at once");
    assert!(folder.folder.catalog().get("app_a").is_none() && folder.has("app_b", "n"));

    // A folder that is away for a while takes nothing along.
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).unwrap();
    assert!(folder.folder.look(true) && !folder.folder.look(true));
    assert!(folder.has("app_b", "n") && folder.folder.errors().len() == 1);
    fs::rename(&away, folder.path()).unwrap();
    assert!(folder.folder.look(true) && folder.folder.errors().is_empty());
}

#[test]
fn a_file_is_taken_when_it_has_come_to_rest() {
    let mut folder = Folder::with(&[("a.toml", file("app_a", "n"))]);
    fs::write(folder.path().join("a.toml"), file("app_a", "half")).unwrap();
    assert!(!folder.folder.look(false));
    fs::write(folder.path().join("a.toml"), file("app_a", "complete")).unwrap();
    assert!(!folder.folder.look(false), "it was saved again meanwhile");
    assert!(folder.folder.look(false) && folder.has("app_a", "complete"));
    assert!(!folder.folder.look(false));
}

#[test]
fn a_name_stays_with_the_file_that_has_it() {
    let mut folder = Folder::with(&[("b.toml", file("app_b", "old"))]);
    folder.write("a.toml", &file("app_b", "new"));
    assert!(folder.has("app_b", "old"), "whoever was first has it");
    assert!(folder.error("a.toml").contains("already a measurement") && folder.error("b.toml").is_empty());
    // Its last good version has a name of its own; the other file may have the new one.
    folder.write("b.toml", &file("app_c", "old"));
    assert!(folder.has("app_b", "new") && folder.has("app_c", "old"));
    // What is followed goes away: so does what followed it, with the reason.
    folder.write("c.toml", &file("app_ids", "id"));
    let follower = "name = 'app_texts'\nscope = 'cluster'\n[follow]\nmeasurement = 'app_ids'\nkey = 'id'\n\
                    [[query]]\nsql = 'select 1 as n where 1 = any($1)'\n[[column]]\nname = 'n'\nkind = 'gauge'\ntype = 'int'\n";
    folder.write("d.toml", follower);
    assert!(folder.has("app_texts", "n"));
    fs::remove_file(folder.path().join("c.toml")).unwrap();
    assert!(folder.folder.look(true));
    assert!(folder.folder.catalog().get("app_texts").is_none());
    assert!(folder.error("d.toml").contains("there is no measurement app_ids"), "{}", folder.error("d.toml"));
    assert!(folder.folder.files().iter().all(|file| file.name != "d.toml" || file.measurement.is_none()));
}

#[test]
fn only_files_of_the_folder_are_read_and_only_so_many() {
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("x.toml"), file("app_elsewhere", "n")).unwrap();
    let large = format!("{}# {}", file("app_large", "n"), "x".repeat(70_000));
    let mut folder = Folder::with(&[("large.toml", large), (".hidden.toml", file("app_hidden", "n"))]);
    // A mounted ConfigMap: links to links to files in a hidden folder.
    fs::create_dir(folder.path().join("..v1")).unwrap();
    fs::write(folder.path().join("..v1/map.toml"), file("app_map", "one")).unwrap();
    symlink("..v1", folder.path().join("..data")).unwrap();
    symlink("..data/map.toml", folder.path().join("map.toml")).unwrap();
    symlink(other.path().join("x.toml"), folder.path().join("out.toml")).unwrap();
    symlink("nowhere", folder.path().join("dangling.toml")).unwrap();
    fs::create_dir(folder.path().join("folder.toml")).unwrap();
    fs::write(folder.path().join(std::ffi::OsString::from_vec(b"\xff.toml".to_vec())), file("app_name", "n")).unwrap();
    assert!(folder.folder.look(true));
    let catalog = folder.folder.catalog();
    for absent in ["app_elsewhere", "app_large", "app_hidden", "app_name"] {
        assert!(catalog.get(absent).is_none(), "{absent}");
    }
    assert!(folder.has("app_map", "one"));
    assert!(folder.error("large.toml").contains("65536"), "{}", folder.error("large.toml"));
    assert!(folder.error("out.toml").contains("out of the folder"), "{}", folder.error("out.toml"));
    assert!(!folder.error("dangling.toml").is_empty());
    assert!(folder.error("\u{fffd}.toml").contains("not UTF-8"));
    assert!(folder.folder.files().iter().all(|file| file.name != "folder.toml"));
    // The map is exchanged as Kubernetes does it.
    fs::create_dir(folder.path().join("..v2")).unwrap();
    fs::write(folder.path().join("..v2/map.toml"), file("app_map", "two")).unwrap();
    fs::remove_file(folder.path().join("..data")).unwrap();
    symlink("..v2", folder.path().join("..data")).unwrap();
    assert!(folder.folder.look(true) && folder.has("app_map", "two"));

    let many: Vec<_> = (0..MAX_FILES + 3).map(|n| (format!("f{n:04}.toml"), file(&format!("app_f{n}"), "n"))).collect();
    let many = Folder::with(&many.iter().map(|(name, text)| (name.as_str(), text.clone())).collect::<Vec<_>>());
    assert_eq!(many.folder.catalog().len(), Catalog::builtin().len() + MAX_FILES);
    assert_eq!(many.folder.files().iter().filter(|file| file.error.is_some()).count(), 3);
}

#[test]
fn a_change_tells_what_differs_of_what_is_wanted() {
    let base = Catalog::builtin().clone();
    let with = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, column)| (format!("{name}.toml"), file(name, column)));
        let (catalog, errors) = base.clone().with_files(files);
        assert!(errors.is_empty());
        catalog
    };
    let mut plan = Plan::default();
    plan.set_enabled("app_off", false);
    let old = with(&[("app_same", "n"), ("app_changed", "n"), ("app_gone", "n"), ("app_off", "n")]);
    let new = with(&[("app_same", "n"), ("app_changed", "m"), ("app_new", "n"), ("app_off", "m")]);
    let change = CatalogChange::between(&old, &new, &plan);
    let new: Vec<_> = change.new.iter().map(|measurement| measurement.name().as_str()).collect();
    let gone: Vec<_> = change.gone.iter().map(pganalytics_core::MeasurementName::as_str).collect();
    assert_eq!((new, gone), (vec!["app_changed", "app_new"], vec!["app_gone"]));
    assert!(CatalogChange::between(&old, &old, &plan).is_empty());
}

#[test]
fn the_example_of_the_page_is_good() {
    // A packaged crate comes without the pages.
    let Ok(page) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/own-sql.md")) else { return };
    let files = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let files: Vec<_> = files.filter(|text| text.contains("[[column]]")).collect();
    assert_eq!(files.len(), 1, "the page has lost its example");
    let folder = Folder::with(&[("app_orders.toml", files[0].to_owned())]);
    assert!(folder.has("app_orders", "amount"), "{:?}", folder.folder.errors());
}

/// One of two would be lost for Prometheus without a word.
#[test]
fn two_columns_with_one_name_for_prometheus_are_refused() {
    let text = "name = 'app_wait'\nscope = 'cluster'\n[[query]]\nsql = 'select 1'\n\
                [[column]]\nname = 'wait_ms'\nkind = 'gauge'\ntype = 'float'\nunit = 'ms'\n\
                [[column]]\nname = 'wait'\nkind = 'gauge'\ntype = 'float'\nunit = 's'\n";
    let folder = Folder::with(&[
        ("app_wait.toml", text.to_owned()),
        ("stat_database.toml", file("stat_database", "numbackends")),
        ("up.toml", file("app_up", "n")),
        ("up_twin.toml", file("pg_app_up", "n")),
    ]);
    let error = folder.error("app_wait.toml");
    assert!(error.starts_with("line 11: column wait: name: ") && error.contains("wait_ms and wait"), "{error}");
    assert!(error.contains("pg_app_wait_seconds"), "{error}");
    let error = folder.error("stat_database.toml");
    assert!(error.contains("pg_stat_database_numbackends") && error.contains("already"), "{error}");
    assert_eq!(folder.error("up.toml"), "");
    let error = folder.error("up_twin.toml");
    assert!(error.contains("pg_app_up_n") && error.contains("made by app_up"), "{error}");
    assert!(folder.has("app_up", "n") && !folder.has("app_wait", "wait"));
}
