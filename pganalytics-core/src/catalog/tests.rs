//! The rules of catalog files, and that our own are complete.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::{ColumnKind, ColumnType, CounterFamily, Presence};

const GOOD: &str = r#"name = "app_orders"
scope = "database"
interval = "90s"

[counters]
family = "cumulative"

[[query]]
postgres = ">=14, <17"
sql = "select state, orders from app.orders"

[[query]]
postgres = ">=17"
unsupported = "because app.orders went away"

[[column]]
name = "state"
kind = "key"
type = "text"

[[column]]
name = "orders"
kind = "counter"
type = "int"
unit = "orders"
"#;

#[test]
fn a_good_file_says_everything() {
    let orders = Measurement::parse(GOOD, "orders.toml").unwrap();
    assert_eq!(orders.name().as_str(), "app_orders");
    assert_eq!(orders.title(), "app_orders");
    assert_eq!(orders.hypertable(), "metrics_app_orders");
    assert_eq!(orders.source_view(), "app_orders");
    assert_eq!(orders.scope(), Scope::Database);
    assert_eq!((orders.interval(), orders.interval_micros()), (Duration::from_secs(90), 90_000_000));
    assert_eq!(orders.retention(), Duration::from_secs(7 * 86_400));
    assert_eq!((orders.role(), orders.max_rows()), (Role::Any, DEFAULT_MAX_ROWS));
    assert!(orders.enabled_by_default());
    assert_eq!(orders.schema().family(), CounterFamily::Cumulative);
    assert_eq!(orders.schema().presence(), Presence::State);
    assert_eq!(orders.columns()[1].unit, "orders");
    assert!(matches!(orders.query_for(160_004), QueryChoice::Query(query) if query.sql.starts_with("select state")));
    assert_eq!(orders.query_for(180_000), QueryChoice::Unsupported("because app.orders went away"));
    assert!(matches!(orders.query_for(130_000), QueryChoice::Unsupported(_)));
}

#[test]
fn a_file_says_what_it_wants_of_a_server() {
    let parse = |wants: &str| Measurement::parse(&format!("{GOOD}{wants}"), "orders.toml");
    let orders = parse(
        "[[wants]]\nsetting = \"track_functions\"\nvalue = \"pl, all\"\nwithout = \"there are none\"\npostgres = \">=16\"\n\
         [[wants]]\nsetting = \"track_activity_query_size\"\nvalue = \">= 4096\"\nwithout = \"texts are cut\"\n\
         [[wants]]\nrole = \"pg_monitor\"\nwithout = \"others are hidden\"\n\
         [[wants]]\nfunction = \"pg_catalog.pg_ls_waldir()\"\nwithout = \"no sizes\"\n",
    )
    .unwrap();
    let [functions, size, role, function] = orders.wants() else { panic!("{:?}", orders.wants()) };
    assert!(functions.is_met_by("all") && functions.is_met_by("PL") && !functions.is_met_by("none"));
    assert!(functions.postgres.contains(160_000) && !functions.postgres.contains(150_000));
    assert!(size.is_met_by("4096") && !size.is_met_by("1024") && !size.is_met_by("much"));
    assert_eq!((size.setting(), role.setting()), (Some("track_activity_query_size"), None));
    assert_eq!(role.what, Wanted::Role("pg_monitor".to_owned()));
    assert_eq!(function.what, Wanted::Function("pg_catalog.pg_ls_waldir()".to_owned()));
    for (wants, field) in [
        ("[[wants]]\nwithout = 'x'\n", "wants 1: setting"),
        ("[[wants]]\nsetting = 'a'\nrole = 'b'\nwithout = 'x'\n", "wants a: setting"),
        ("[[wants]]\nsetting = 'a'\nwithout = 'x'\n", "wants a: value"),
        ("[[wants]]\nsetting = 'a; drop'\nvalue = 'on'\nwithout = 'x'\n", "wants a; drop: setting"),
        ("[[wants]]\nsetting = 'a'\nvalue = '>= much'\nwithout = 'x'\n", "wants a: value"),
        ("[[wants]]\nsetting = 'a'\nvalue = ' , '\nwithout = 'x'\n", "wants a: value"),
        ("[[wants]]\nsetting = 'a'\nvalue = 'on'\n", "wants a: without"),
        ("[[wants]]\nrole = 'a'\nvalue = 'on'\nwithout = 'x'\n", "wants 1: value"),
        ("[[wants]]\nfunction = 'f'\nwithout = 'x'\n", "wants 1: function"),
        ("[[wants]]\nsettings = 'a'\n", "wants 1: settings"),
    ] {
        assert_eq!(parse(wants).unwrap_err().field(), field, "{wants}");
    }
}

/// Replaces a part of the good file and returns line, field and problem.
fn broken(part: &str, by: &str) -> (usize, String, String) {
    assert!(GOOD.contains(part), "{part}");
    let error = Measurement::parse(&GOOD.replacen(part, by, 1), "orders.toml").unwrap_err();
    assert_eq!(error.file(), "orders.toml");
    let said = error.to_string();
    assert!(said.starts_with(&format!("orders.toml:{}: {}: ", error.line(), error.field())), "{said}");
    (error.line(), error.field().to_owned(), error.problem().to_owned())
}

#[test]
fn a_bad_file_is_an_error_that_names_line_and_field_and_what_to_do() {
    let cases: &[(&str, &str, usize, &str, &str)] = &[
        // What is replaced, by what; line, field, words of the problem.
        ("name = \"app_orders\"\n", "", 1, "name", "is missing"),
        ("app_orders", "App-Orders", 1, "name", "lower-case letter"),
        ("app_orders", "app_delta", 1, "name", "_delta"),
        ("\"app_orders\"", "5", 1, "name", "a text in quotes is expected here, not a whole number"),
        ("\"database\"", "\"databse\"", 2, "scope", "\"databse\" is none of cluster, database, host, pooler, agent"),
        ("scope = \"database\"", "scope = \"host\"", 8, "query", "not read by SQL"),
        ("\"90s\"", "\"90 sec\"", 3, "interval", "write as \"60s\""),
        ("\"90s\"", "\"0s\"", 3, "interval", "write as \"60s\""),
        ("\"90s\"", "\"99999999999999999999d\"", 3, "interval", "write as \"60s\""),
        ("\"90s\"", "\"é\"", 3, "interval", "write as \"60s\""),
        ("interval", "intervall", 3, "intervall", "no such field; known are name, title"),
        ("interval = \"90s\"", "max_rows = 0", 3, "max_rows", "above 0"),
        ("interval = \"90s\"", "enabled = \"yes\"", 3, "enabled", "true or false is expected"),
        ("interval = \"90s\"", "hypertable = \"a;b\"", 3, "hypertable", "a-z"),
        ("\"cumulative\"", "\"comulative\"", 6, "counters: family", "none of cumulative"),
        ("\"cumulative\"", "\"shared\"", 5, "counters: stamp", "needs a stamp or row_stamp"),
        (
            "\"cumulative\"",
            "\"cumulative\"\nstamp = \"state\"",
            7,
            "counters: stamp",
            "no column state of type timestamp",
        ),
        ("\"cumulative\"", "\"cumulative\"\nrow_stamp = \"since\"", 7, "counters: row_stamp", "no column since"),
        (">=14, <17", "since 14", 9, "query 1: postgres", "write as \">=14, <17\""),
        (">=14, <17", ">=17, <14", 9, "query 1: postgres", "no version is in the range"),
        (">=14, <17", ">=14, <18", 13, "query 2: postgres", ">=17 overlaps with >=14, <18"),
        (">=14, <17", ">=15, <17", 8, "query", "no [[query]] for PostgreSQL 14;"),
        ("postgres = \">=17\"", "postgres = \"18\"", 8, "query", "no [[query]] for PostgreSQL 17;"),
        ("sql = \"select state, orders from app.orders\"", "", 8, "query 1: sql", "is missing"),
        ("select state, orders from app.orders", " ", 10, "query 1: sql", "is empty"),
        ("select state", "select @extschema@.state", 10, "query 1: sql", "requires_extension"),
        ("unsupported =", "sql = \"select 1\"\nunsupported =", 15, "query 2: unsupported", "not both"),
        ("[[column]]", "[column]", 16, "column", ""),
        ("name = \"orders\"", "name = \"state\"", 22, "column state: name", "two columns of this name"),
        ("name = \"orders\"", "name = \"time\"", 22, "column time: name", "a column of every table"),
        ("name = \"orders\"", "nam = \"orders\"", 22, "column 2: nam", "no such field"),
        ("\"counter\"", "\"countr\"", 23, "column orders: kind", "none of key, counter, gauge, info"),
        ("kind = \"counter\"\n", "", 21, "column orders: kind", "is missing"),
        ("type = \"int\"", "type = \"text\"", 24, "column orders: type", "a counter is of type int or float, not text"),
        ("unit = \"orders\"", "unit = 1", 25, "column orders: unit", "a text in quotes"),
        ("unit = \"orders\"", "postgres = \">17<\"", 25, "column orders: postgres", "write as"),
        ("type = \"text\"", "type = \"text\"\nderived = true", 20, "column state: derived", "only a counter"),
    ];
    let long = format!("unit = \"{}\"", "o".repeat(64));
    assert_eq!(broken("unit = \"orders\"", &long).1, "column orders: unit");
    for (part, by, line, field, problem) in cases {
        // A table where a list stands is found by TOML itself, whose words are its own.
        if *by == "[column]" {
            assert!(Measurement::parse(&GOOD.replacen(part, by, 1), "f").is_err());
            continue;
        }
        let got = broken(part, by);
        assert_eq!((got.0, got.1.as_str()), (*line, *field), "{part:?} -> {by:?}: {got:?}");
        assert!(got.2.contains(problem), "{part:?} -> {by:?}: {got:?}");
    }
}

#[test]
fn what_is_no_toml_is_an_error_with_its_line() {
    let error = Measurement::parse("name = \"a\"\nscope = = 1\n", "x.toml").unwrap_err();
    assert_eq!((error.line(), error.field()), (2, "file"));
}

#[test]
fn a_follower_needs_its_parameter_and_what_it_follows() {
    let text = GOOD.replace("[counters]\nfamily = \"cumulative\"", "[follow]\nmeasurement = \"m\"\nkey = \"k\"");
    let error = Measurement::parse(&text, "f").unwrap_err();
    assert_eq!(error.field(), "query 1: sql");
    let text = text.replace("app.orders\"", "app.orders where id = any($1)\"");
    let error = Catalog::default().with_file(&text, "f").unwrap_err();
    assert_eq!((error.line(), error.field()), (6, "follow: measurement"));
    let text = text.replace("\"m\"", "\"pg_stat_statements\"");
    let error = Catalog::builtin().clone().with_file(&text, "f").unwrap_err();
    assert_eq!((error.line(), error.field()), (7, "follow: key"));
    let text = text.replace("\"k\"", "\"queryid\"");
    assert!(Catalog::builtin().clone().with_file(&text, "f").is_ok());
}

#[test]
fn one_bad_user_file_costs_no_other() {
    let files = [
        ("bad.toml", "name = 1".to_owned()),
        ("good.toml", GOOD.to_owned()),
        ("twice.toml", GOOD.to_owned()),
        ("ours.toml", GOOD.replace("app_orders", "pg_stat_database")),
        (
            "table.toml",
            GOOD.replace("app_orders", "other").replace("interval", "hypertable").replace("90s", "metrics_sysstat"),
        ),
    ];
    let (catalog, errors) = Catalog::load_files(files);
    assert_eq!(catalog.len(), Catalog::builtin().len() + 1);
    assert!(catalog.get("app_orders").is_some());
    assert_eq!(catalog.get("pg_stat_database"), Catalog::builtin().get("pg_stat_database"));
    let said: Vec<_> = errors.iter().map(|error| (error.file(), error.line(), error.field())).collect();
    let expected =
        [("bad.toml", 1, "name"), ("twice.toml", 1, "name"), ("ours.toml", 1, "name"), ("table.toml", 3, "hypertable")];
    assert_eq!(said, expected);
}

#[test]
fn our_own_files_are_complete() {
    let catalog = Catalog::builtin();
    assert_eq!(catalog.len(), super::builtin::FILES.len());
    for (file, text) in super::builtin::FILES {
        let measurement = Measurement::parse(text, file).unwrap();
        assert_eq!(*file, format!("catalog/{}.toml", measurement.name()));
        assert!(!measurement.title().is_empty() && !measurement.doc().is_empty(), "{file}");
        for column in measurement.columns() {
            assert!(!column.doc.is_empty(), "{file}: {} has no doc", column.name);
            let counts = matches!(column.kind, ColumnKind::Counter)
                || column.kind == ColumnKind::Gauge && matches!(column.ty, ColumnType::Int | ColumnType::Float);
            assert!(!counts || !column.unit.is_empty(), "{file}: {} has no unit", column.name);
        }
        let counts = measurement.columns().iter().any(|column| column.kind == ColumnKind::Counter);
        assert_eq!(counts, measurement.schema().family() != CounterFamily::None, "{file}: counters and their family");
        if measurement.scope().is_postgres() {
            // The newest range is open, so a major version to come is tried and not refused.
            assert!(matches!(measurement.query_for(990_000), QueryChoice::Query(_)), "{file}");
        }
        for query in measurement.queries() {
            let sql = query.sql.to_lowercase();
            for never in ["order by", "percentile", "select *", ";"] {
                assert!(!sql.contains(never), "{file}: {never}");
            }
        }
    }
}

#[test]
fn names_that_others_rely_on() {
    let catalog = Catalog::builtin();
    for (name, table) in [
        ("pg_stat_database", "metrics_pg_stats_database"),
        ("pg_stat_user_tables", "metrics_pg_stats_table"),
        ("pg_stat_user_indexes", "metrics_pg_stats_index"),
        ("pg_stat_replication", "metrics_replication"),
        ("sysstat", "metrics_sysstat"),
        ("disk_usage", "metrics_disk_usage"),
        ("pg_query_text", "metrics_pg_query_text"),
    ] {
        assert_eq!(catalog.get(name).unwrap().hypertable(), table);
    }
    let tables = catalog.get("pg_stat_user_tables").unwrap().schema();
    let derived: Vec<_> = tables.derived().iter().map(|&at| tables.columns()[at].name.as_str()).collect();
    assert_eq!(derived.len(), 8, "{derived:?}");
    assert!(derived.contains(&"idx_scan") && derived.contains(&"toast_blks_hit"));
    let texts = catalog.get("pg_query_text").unwrap();
    assert_eq!(texts.follows().unwrap().resend, Some(Duration::from_secs(86_400)));
    assert_eq!(texts.schema().presence(), Presence::Append);
    assert_eq!(catalog.get("pg_stat_bgwriter").unwrap().epoch_stamp(), Some("stats_reset"));
}

#[test]
fn the_schema_of_an_extension_is_quoted() {
    let catalog = Catalog::builtin();
    let QueryChoice::Query(query) = catalog.get("pg_stat_statements").unwrap().query_for(140_000) else { panic!() };
    assert_eq!(query.requires.extension.as_deref(), Some("pg_stat_statements"));
    assert!(query.sql_in("odd\"name").contains("from \"odd\"\"name\".pg_stat_statements(false)"));
    assert!(statements_epoch_sql("public").ends_with("from \"public\".pg_stat_statements_info"));
}

#[test]
fn version_ranges() {
    for (text, shown, yes, no) in [
        (">=14", ">=14", &[14, 18, 30][..], &[13][..]),
        (">=14, <17", ">=14, <17", &[14, 16], &[13, 17]),
        (">13,<=15", ">=14, <16", &[14, 15], &[13, 16]),
        ("16", "16", &[16], &[15, 17]),
        ("= 16", "16", &[16], &[15, 17]),
        ("<17", "<17", &[1, 16], &[17]),
    ] {
        let range: VersionRange = text.parse().unwrap();
        assert_eq!(range.to_string(), shown);
        assert!(yes.iter().all(|&major| range.contains_major(major) && range.contains(major * 10_000 + 7)), "{text}");
        assert!(!no.iter().any(|&major| range.contains_major(major)), "{text}");
    }
    for bad in ["", "14 15", ">=", "=>14", "x", ">=14,", "<0", "14.2", ">=99999999999", ">=17, <17"] {
        assert!(bad.parse::<VersionRange>().is_err(), "{bad}");
    }
}
