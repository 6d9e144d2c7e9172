//! The alert rules that come with us: each is sound, fires and stays quiet as
//! its tests say, and has a page that says what to do.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pganalytics_testkit::tool;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    assert!(!files.is_empty(), "nothing in {folder}");
    files
}

/// What stands behind `key:` in these files, line by line.
fn values(files: &[PathBuf], key: &str) -> Vec<String> {
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let lines: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let value = |line: &String| Some(line.trim().trim_start_matches("- ").strip_prefix(key)?.trim().to_owned());
    lines.iter().filter_map(value).collect()
}

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let Some(promtool) = tool("promtool") else { return };
    let output = Command::new(promtool).args(arguments).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
}

#[test]
fn prometheus_takes_the_rules_and_the_settings() {
    promtool(&["check", "rules"], &files("deploy/prometheus/rules"));
    promtool(&["check", "config"], &[repository("deploy/prometheus/prometheus.yml")]);
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    let tests = files("deploy/prometheus/tests");
    let names = values(&tests, "name:");
    for alert in values(&files("deploy/prometheus/rules"), "alert:") {
        for case in ["fires", "is quiet"] {
            assert!(names.contains(&format!("{alert} {case}")), "no test that {alert} {case}");
        }
    }
    promtool(&["test", "rules"], &tests);
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let rules = files("deploy/prometheus/rules");
    let urls = values(&rules, "runbook_url:");
    let alerts = values(&rules, "alert:");
    assert_eq!(urls.len(), alerts.len(), "an alert has no runbook_url");
    let index = fs::read_to_string(repository("docs/runbooks/README.md")).unwrap();
    let mut linked = BTreeSet::new();
    for (url, alert) in urls.iter().zip(&alerts) {
        let page = url.rsplit('/').next().unwrap();
        let text = fs::read_to_string(repository("docs/runbooks").join(page)).unwrap_or_else(|_| panic!("no {page}"));
        assert!(text.starts_with(&format!("# {alert}\n")), "{page} is not about {alert}");
        assert!(text.contains("\n## Do\n"), "{page} does not say what to do");
        assert!(index.contains(&format!("[{alert}]({page})")), "the index has no {alert}");
        linked.insert(page.to_owned());
    }
    let pages = fs::read_dir(repository("docs/runbooks")).unwrap();
    for page in pages.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        assert!(page == "README.md" || linked.contains(&page), "no alert leads to {page}");
    }
}
