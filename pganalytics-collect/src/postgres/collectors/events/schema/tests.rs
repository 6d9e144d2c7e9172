#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{error::Error, sync::Arc};

use pganalytics_core::{
    Batch, Epoch, InstanceId, RowsBuilder, Scrape, ScrapeClock, ScrapeKind, ServerId, Source, Timestamp, Value,
    catalog::Catalog,
};

use super::{SchemaWatcher, Watcher, compare::MOST_EVENTS};

/// (kind, relname, name), OID, definition, columns.
type Row<'a> = ([&'a str; 3], i64, &'a str, Option<&'a str>);

type Told = Vec<(String, Option<String>, Option<String>)>;

const MAX_ROWS: usize = 1_000;

fn table(name: &str, oid: i64) -> Row<'_> {
    (["table", name, ""], oid, "owner a", Some("a integer"))
}

fn batch(objects: &[Row<'_>]) -> Result<Batch, Box<dyn Error>> {
    let schema = Arc::clone(Catalog::builtin().get("pg_schema").ok_or("no pg_schema")?.schema());
    let mut rows = RowsBuilder::new(&schema);
    for &([kind, relation, name], oid, definition, columns) in objects {
        let text = format!("{definition}{columns:?}");
        let hash = text.bytes().fold(7_i64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let values = schema.columns().iter().map(|column| match column.name.as_str() {
            "kind" => Value::Text(kind),
            "schemaname" => Value::Text("public"),
            "relname" => Value::Text(relation),
            "name" => Value::Text(name),
            "objid" => Value::Int(oid),
            "definition" => Value::Text(definition),
            "columns" => columns.map_or(Value::Null, Value::Text),
            "definition_hash" => Value::Int(hash),
            _ => Value::Null,
        });
        rows.push(&values.collect::<Vec<_>>())?;
    }
    let server_id = ServerId::of_cluster(1);
    let instance_id = InstanceId::of_address(server_id, "here");
    let source = Source { server_id, instance_id, server: "main".into(), database: Some("app".into()) };
    let collected_at = Timestamp::from_secs(1);
    let scrape = Scrape {
        collected_at,
        interval_micros: 1,
        kind: ScrapeKind::Keyframe,
        epoch: Epoch::default(),
        clock: ScrapeClock::default(),
    };
    Ok(Batch { rows: rows.finish(), schema, source, scrape })
}

fn see(watcher: &mut SchemaWatcher, objects: &[Row<'_>]) -> Result<Told, Box<dyn Error>> {
    let events = watcher.see(&batch(objects)?);
    Ok(events.into_iter().map(|event| (event.object, event.old, event.new)).collect())
}

/// What the second look tells.
fn told(before: &[Row<'_>], now: &[Row<'_>]) -> Result<Told, Box<dyn Error>> {
    let mut watcher = SchemaWatcher::new(MAX_ROWS);
    assert_eq!(see(&mut watcher, before)?, []);
    see(&mut watcher, now)
}

fn renamed(what: &str, old: &str, new: &str) -> (String, Option<String>, Option<String>) {
    (format!("{what} name"), Some(old.into()), Some(new.into()))
}

#[test]
fn rows_may_come_in_any_order() -> Result<(), Box<dyn Error>> {
    let (a, b, c) = (table("a", 1), table("b", 2), (["index", "a", "a_i"], 1, "btree (a)", None));
    assert_eq!(told(&[a, b, c], &[c, b, a])?, []);
    assert_eq!(told(&[b, a], &[a, c, b])?, [("index public.a_i".into(), None, Some("btree (a)".into()))]);
    Ok(())
}

#[test]
fn what_was_made_anew_under_its_name_is_no_change() -> Result<(), Box<dyn Error>> {
    let mut watcher = SchemaWatcher::new(MAX_ROWS);
    assert_eq!(see(&mut watcher, &[table("t", 1)])?, []);
    assert_eq!(see(&mut watcher, &[table("t", 2)])?, []);
    // Its new OID is the one to find it by.
    assert_eq!(see(&mut watcher, &[table("u", 2)])?, [renamed("table public.t", "public.t", "public.u")]);
    assert_eq!(see(&mut watcher, &[table("w", 2)])?, [renamed("table public.u", "public.u", "public.w")]);
    Ok(())
}

#[test]
fn a_rename_takes_its_constraints_along_in_silence() -> Result<(), Box<dyn Error>> {
    let check = |relation| (["constraint", relation, "c"], 2, "check (a)", None);
    let told = told(&[table("t", 1), check("t")], &[table("u", 1), check("u")])?;
    assert_eq!(told, [renamed("table public.t", "public.t", "public.u")]);
    Ok(())
}

#[test]
fn a_look_that_was_cut_off_is_forgotten() -> Result<(), Box<dyn Error>> {
    let mut watcher = SchemaWatcher::new(2);
    assert_eq!(see(&mut watcher, &[table("t", 1)])?, []);
    assert_eq!(see(&mut watcher, &[table("t", 1), table("u", 2)])?, []);
    assert_eq!(see(&mut watcher, &[table("w", 3)])?, []);
    assert_eq!(see(&mut watcher, &[])?, [("table public.w".into(), Some("owner a (a integer)".into()), None)]);
    Ok(())
}

#[test]
fn a_flood_is_told_as_a_number() -> Result<(), Box<dyn Error>> {
    let names: Vec<String> = (0..1_400).map(|n| format!("t{n}")).collect();
    let tables: Vec<_> = names.iter().zip(0..).map(|(name, oid)| table(name, oid)).collect();
    let events = told(&tables[..700], &tables[700..])?;
    assert_eq!(events.len(), MOST_EVENTS + 1);
    assert_eq!(events[MOST_EVENTS].2.as_deref(), Some("400 more changes at once"));
    Ok(())
}

#[test]
fn a_long_definition_is_cut() -> Result<(), Box<dyn Error>> {
    let long = "é".repeat(10_000);
    let told = told(&[], &[(["table", "t", ""], 1, &long, None)])?;
    let new = told[0].2.as_deref().unwrap();
    assert!(new.len() < 8_200 && new.ends_with("é…"), "{}", new.len());
    Ok(())
}
