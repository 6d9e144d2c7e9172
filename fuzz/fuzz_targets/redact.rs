//! Any text can be read as SQL; a value in a statement is gone, whatever stands
//! around it and between the words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pganalytics_core::privacy::redact_sql;

const CANARY: &str = "c4n4ry";

/// `@` is a bare word, `#` a string.
const STATEMENTS: &[&str] = &[
    "set app.k = @",
    "set local app . k to @",
    "alter role r in database d set app.k = @",
    "alter system set app.k to @",
    "create or replace function f ( int ) returns text set app.k = @ as #",
    "create role r login password @",
    "create user r password # valid until #",
    "create user mapping for r server s options ( user # , password @ )",
    "alter server s options ( set host @ , add port # )",
    "create subscription s connection # publication p with ( a = @ )",
    "copy t ( a ) from program # ( null @ )",
    "insert into t values ( # , # ) on conflict do update set a = #",
    "do language plpgsql #",
];

/// Any text as a string, a comment or blanks; its own ends are taken out.
fn string(noise: &str, form: u8) -> String {
    match form % 4 {
        0 => format!("'{}{CANARY}'", noise.replace(['\'', '\\'], "''")),
        1 => format!("E'{}\\'{CANARY}'", noise.replace('\\', "\\\\").replace('\'', "\\'")),
        2 => format!("$a${} {CANARY}$a$", noise.replace('$', "'")),
        _ => format!("U&'{}{CANARY}'''", noise.replace(['\'', '\\'], "''")),
    }
}

fn separator(noise: &str, form: u8) -> String {
    match form % 4 {
        0 => " ".to_owned(),
        1 => format!("--{}{CANARY}\n", noise.replace(['\n', '\r'], " ")),
        2 => format!("/*{} {CANARY}*/", noise.replace(['*', '/'], "'")),
        _ => "\t\n".to_owned(),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(([template, form], noise)) = data.split_first_chunk() else { return };
    let noise = String::from_utf8_lossy(noise).replace(CANARY, "");

    let redacted = redact_sql(&noise);
    // Names in quotes may have a quote in them.
    if !noise.contains('"') {
        assert!(redacted.split('\'').skip(1).step_by(2).all(|inside| inside == "…"), "{redacted}");
    }

    let template = STATEMENTS[usize::from(*template) % STATEMENTS.len()];
    let mut sql = String::new();
    for (at, word) in (0..).zip(template.split(' ')) {
        match word {
            "#" => sql.push_str(&string(&noise, form.rotate_left(at))),
            "@" => sql.push_str(CANARY),
            _ => sql.push_str(word),
        }
        sql.push_str(&separator(&noise, form.rotate_left(at * 3)));
    }
    let redacted = redact_sql(&sql);
    assert!(!redacted.contains(CANARY), "{sql}\n-> {redacted}");
});
