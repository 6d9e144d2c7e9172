//! The platform at the root: names, addresses and ports are promises, and each secret is
//! seen by the one that needs it.

use serde_yaml_ng::Value;

use super::compose::{File, entries, names, texts};

/// A service, its container, its address, and its ports: without and within.
type Promise = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);
const PROMISED: &[Promise] = &[
    ("postgres", "pganalytics-postgres", "172.20.0.10", &[("5432", "5432")]),
    ("timescale", "pganalytics-timescale", "172.20.0.11", &[("5433", "5432")]),
    ("backend", "pganalytics-backend", "172.20.0.20", &[("8080", "8080"), ("4000", "4000")]),
    ("collector", "pganalytics-collector-demo", "172.20.0.30", &[("9090", "9187")]),
    ("grafana", "pganalytics-grafana", "172.20.0.40", &[("3000", "3000")]),
    ("redis", "pganalytics-redis", "172.20.0.50", &[]),
];
const VOLUMES: &[&str] = &["postgres_data", "timescale_data", "grafana_data", "collector_data", "backend_data"];
/// Who mounts a volume of secrets.
const READERS: &[(&str, &str)] = &[
    ("secrets_server", "backend"),
    ("secrets_collector", "collector"),
    ("secrets_postgres", "postgres"),
    ("secrets_timescale", "timescale"),
    ("secrets_grafana", "grafana"),
];

pub(crate) fn check(files: &[File], found: &mut Vec<String>) {
    let Some(file) = files.iter().find(|file| file.path == "docker-compose.yml") else {
        return found.push("docker-compose.yml is missing".to_owned());
    };
    let mut complain = |what: String| found.push(format!("docker-compose.yml: {what}"));
    let services = &file.filled["services"];
    for (name, container, address, ports) in PROMISED {
        let service = &services[*name];
        if service["container_name"].as_str() != Some(container) {
            complain(format!("{name} is not the container {container}"));
        }
        if service["networks"]["default"]["ipv4_address"].as_str() != Some(address) {
            complain(format!("{name} is not at {address}"));
        }
        for (outside, inside) in *ports {
            let end = format!(":{outside}:{inside}");
            if !texts(&service["ports"]).iter().any(|port| port.ends_with(&end)) {
                complain(format!("{name} does not publish {outside} for {inside}"));
            }
        }
    }
    let network = &file.filled["networks"]["default"];
    let pool = &network["ipam"]["config"][0];
    let promised = (Some("pganalytics_default"), Some("172.20.0.0/16"), Some("172.20.0.1"));
    if (network["name"].as_str(), pool["subnet"].as_str(), pool["gateway"].as_str()) != promised {
        complain("the network is not pganalytics_default, 172.20.0.0/16 by 172.20.0.1".to_owned());
    }
    for volume in VOLUMES {
        if !names(&file.filled["volumes"]).contains(volume) {
            complain(format!("volume {volume} is missing"));
        }
    }
    for (name, service) in file.services() {
        secrets(name, service, &mut complain);
        if name != "init" {
            order(name, service, services, &mut complain);
        }
    }
    if services["init"]["network_mode"].as_str() != Some("none") {
        complain("init sees every secret, and needs no network".to_owned());
    }
}

fn secrets(name: &str, service: &Value, complain: &mut impl FnMut(String)) {
    for mount in texts(&service["volumes"]).into_iter().filter(|mount| mount.starts_with("secrets_")) {
        let volume = mount.split(':').next().unwrap_or_default();
        let is_reader = READERS.contains(&(volume, name));
        if name != "init" && !is_reader {
            complain(format!("{name} mounts {volume}, which is another's"));
        }
        if name != "init" && !mount.ends_with(":ro") {
            complain(format!("{name} can change {volume}"));
        }
    }
    for (variable, value) in entries(&service["environment"]) {
        let hidden = value.as_str().is_some_and(|text| text.starts_with("/run/secrets/"));
        if variable.ends_with("_FILE") && !hidden {
            complain(format!("{name}: {variable} is not below /run/secrets"));
        }
    }
}

/// Nothing starts before what it needs is well.
fn order(name: &str, service: &Value, services: &Value, complain: &mut impl FnMut(String)) {
    for (parent, how) in entries(&service["depends_on"]) {
        let wanted = if parent == "init" { "service_completed_successfully" } else { "service_healthy" };
        if how["condition"].as_str() != Some(wanted) {
            complain(format!("{name} does not wait until {parent} is {wanted}"));
        }
        if services[parent].is_null() {
            complain(format!("{name} waits for {parent}, which there is not"));
        }
    }
    let reads = texts(&service["volumes"]).iter().any(|mount| mount.starts_with("secrets_"));
    let waits = !names(&service["depends_on"]).is_empty();
    if reads && !waits {
        complain(format!("{name} reads secrets and does not wait for init"));
    }
}

#[test]
fn mistakes_in_the_platform_are_found() {
    use super::planted::planted;
    const FILE: &str = "docker-compose.yml";
    planted(FILE, "container_name: pganalytics-backend", "container_name: backend", "not the container");
    planted(FILE, "ipv4_address: 172.20.0.30", "ipv4_address: 172.20.0.31", "not at 172.20.0.30");
    planted(FILE, "127.0.0.1:9090:9187", "127.0.0.1:9187:9187", "does not publish 9090");
    planted(FILE, "gateway: 172.20.0.1", "gateway: 172.20.0.254", "the network is not");
    planted(FILE, "- secrets_collector:/run/secrets:ro", "- secrets_server:/run/secrets:ro", "which is another");
    planted(FILE, "- secrets_server:/run/secrets:ro", "- secrets_server:/run/secrets", "can change secrets_server");
    planted(
        FILE,
        "JWT_SECRET_FILE: /run/secrets/jwt_secret",
        "JWT_SECRET_FILE: ./jwt_secret",
        "not below /run/secrets",
    );
    planted(FILE, "JWT_SECRET_FILE: /run/secrets/jwt_secret", "JWT_SECRET: demo-secret", "written into the file");
    planted(FILE, "condition: service_healthy", "condition: service_started", "does not wait until");
    planted(FILE, "network_mode: none", "network_mode: bridge", "init sees every secret");
    planted(FILE, "${PUBLISH_IP:-127.0.0.1}:8080", "0.0.0.0:8080", "to everybody by default");
    planted(FILE, "  read_only: true\n  cap_drop: [ALL]", "  read_only: true", "no cap_drop");
    planted("collector-docker-compose.yml", "/proc:/host/proc:ro", "/proc:/host/proc", "not read-only");
}
