//! Mistakes that the rules must find, each planted into a copy.

use super::{rules, tree};

const PRIMARY: &str = "deploy/stacks/primary/compose.yml";
const REPLICA: &str = "deploy/stacks/replica/compose.yml";
const SINGLE: &str = "deploy/stacks/single/compose.yml";
const POOLER: &str = "deploy/stacks/shared/pgbouncer.ini.tmpl";

/// Replaces a text in a file; the rules must then say this of it.
pub(crate) fn planted(path: &str, from: &str, to: &str, expected: &str) {
    let mut tree = tree();
    let text = tree.get_mut(path).unwrap();
    assert!(text.contains(from), "{path} does not hold {from:?}");
    *text = text.replace(from, to);
    let found = rules::check(&tree);
    assert!(found.iter().any(|message| message.contains(expected)), "{expected:?} is not among {found:#?}");
}

#[test]
fn the_address_of_the_host_that_reaches_the_container() {
    let from = "      POSTGRES_USER: postgres\n";
    planted(PRIMARY, from, &format!("{from}      POSTGRES_BIND_IP: ${{POSTGRES_BIND_IP:-127.0.0.1}}\n"), "host's side");
    planted(PRIMARY, "    shm_size: 256m\n", "    env_file: .env\n", "env_file");
    planted(
        "deploy/stacks/shared/base.conf",
        "listen_addresses = '*'",
        "listen_addresses = '127.0.0.1'",
        "cannot reach",
    );
}

#[test]
fn a_standby_that_is_smaller_than_its_primary() {
    planted("deploy/stacks/replica/.env.example", "LIMIT=2048m", "LIMIT=512m", "less memory than its primary");
}

#[test]
fn a_network_that_nobody_makes_and_files_that_nobody_reads() {
    planted(REPLICA, "    driver: bridge\n", "    external: true\n", "nobody makes it");
    planted(REPLICA, "      STACK_CONFIG_FILE:", "      CONFIG_FILE:", "nobody reads it");
    planted(REPLICA, "      STACK_HBA_FILE:", "      HBA_FILE:", "nobody reads it");
}

#[test]
fn one_user_for_all_clients_of_the_pooler() {
    planted(POOLER, "port=5432\n", "port=5432 user=pgbouncer_auth\n", "every client the same user");
}

#[test]
fn stacks_that_replace_each_other() {
    planted(SINGLE, "-pga-single}", "-pga-primary}", "project pga-primary");
    planted(
        "deploy/stacks/single/.env.example",
        "=postgres-single\n",
        "=postgres-primary\n",
        "container postgres-primary",
    );
    planted(SINGLE, "-pga_single_data}", "-pga_primary_data}", "volume pga_primary_data");
}

#[test]
fn a_variable_as_a_key() {
    planted(PRIMARY, "  monitoring:\n    name", "  ${MONITORING_NETWORK:-monitoring}:\n    name", "variable as a key");
    planted(PRIMARY, "- data:/var", "- ${POSTGRES_DATA_VOLUME:-data}:/var", "begins with a variable");
}

#[test]
fn a_slot_that_keeps_wal_for_ever() {
    let path = "deploy/stacks/primary/configs/postgresql.conf";
    planted(path, "\nmax_slot_wal_keep_size", "\n# max_slot_wal_keep_size", "fills the disk");
}

#[test]
fn a_password_on_a_command_line_in_a_url_or_in_the_file() {
    let test = r#"["CMD", "stack-health"]"#;
    planted(PRIMARY, test, r#"["CMD-SHELL", "PGPASSWORD=${PGBOUNCER_AUTH_PASS} psql"]"#, "command line");
    planted(PRIMARY, test, r#"["CMD-SHELL", "PGPASSWORD=$$POSTGRES_PASSWORD psql"]"#, "command line");
    planted(PRIMARY, "PGPASSWORD: ${", "URL: postgres://monitor:${", "within a URL");
    planted(PRIMARY, "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD is required}", "postgres", "written into the file");
    planted(
        PRIMARY,
        "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD is required}",
        "${POSTGRES_PASSWORD:-postgres}",
        "has a default",
    );
    let example = "deploy/stacks/primary/.env.example";
    planted(
        example,
        "\nPOSTGRES_PASSWORD=\n",
        "\nPOSTGRES_PASSWORD=your_strong_password_here\n",
        "passes for a password",
    );
}

#[test]
fn a_service_without_limits_health_or_a_version() {
    planted(SINGLE, "    mem_limit:", "    memory:", "no mem_limit");
    planted(SINGLE, "    healthcheck:", "    health:", "no health check");
    planted(SINGLE, ":-pganalytics-v3-collector:0.1.0}", ":-pganalytics-v3-collector}", "has no version");
    planted(
        SINGLE,
        r#""${POSTGRES_BIND_IP:-127.0.0.1}:${POSTGRES_PORT:-5432}:5432""#,
        r#""5432:5432""#,
        "every address",
    );
    planted("deploy/stacks/single/.env.example", "BIND_IP=127.0.0.1", "BIND_IP=0.0.0.0", "to everybody by default");
}

#[test]
fn who_may_log_in_is_told_in_order() {
    let hba = "deploy/stacks/shared/pg_hba.conf";
    planted(hba, "host    all          all                  all                      reject", "", "end with reject");
    let all = "${HOST} all          all                  ${POSTGRES_ALLOW_CIDR}   scram-sha-256\n";
    let first = "host    all          all                  127.0.0.1/32";
    planted(hba, first, &format!("{all}{first}"), "behind that of all");
}
