#![allow(clippy::unwrap_used, clippy::panic)]

//! No value gets through, and what is no value stays.

use proptest::prelude::*;

use super::redact_sql;

const CANARY: &str = "c4n4ry";

#[track_caller]
fn is(sql: &str, text: &str) {
    assert_eq!(redact_sql(sql), text, "{sql}");
}

#[test]
fn normalised_statements_stay_as_they_are() {
    for sql in [
        "select a, \"b 1\" from t1 where c = $1 and d like $2",
        "insert into t2x (a) values ($1),($2) on conflict do nothing",
        "insert into t (a) values ($1) on conflict (a) do update set a = excluded.a, b = $2",
        "update t set a = b, c = $1 where d = e",
        "merge into t using s on t.a = s.a when matched then update set a = s.b when matched then update set b = s.c",
        "with x as (update t set a = b returning *) select t.set from t where t.set = x.a",
        "explain (analyze) update only t as u set a = b",
        "select * from größe where ä = $1",
        "select password from users where password = $1 and connection = b",
        "grant select (password) on users to bob",
        "create table t (id int, password text, connection int references c on delete set null)",
        "alter table t alter column a set default now(), alter b set not null, set schema s",
        "alter table t set (autovacuum_enabled = false)",
        "alter subscription s set publication p with (refresh = false)",
        "create view v with (security_barrier = true) as select a from t where a = b",
        "copy t (a, b) from stdin (format csv, header true)",
        "set transaction isolation level read committed",
        "set session characteristics as transaction read only",
        "set constraints all deferred",
        "set local role bob",
        "drop user mapping for bob server s",
        "begin",
        "vacuum analyze t_2024",
    ] {
        is(sql, sql);
    }
}

#[test]
fn literals_go() {
    is("create role x password 'a''b' valid until '2030'", "create role x password '…' valid until '…'");
    is("select E'it\\'s' || 'C:\\\\', 'b'", "select '…' || '…', '…'");
    is("select a like $1 escape '\\', 'b'", "select a like $1 escape '…', '…'");
    is("select date'2026-01-01', 1", "select date'…', ?");
    is("do $$begin x; end$$", "do '…'");
    is("do $a$ $$ x $b$ $a$ language y", "do '…' language y");
    is("select 1, 2.5, .5, 1e-3, 0xFF, 1_000, a1, $12", "select ?, ?, ?, ?, ?, ?, a1, $12");
    is("select U&'d\\0061' , X'ff' , B'1' , N'x'", "select '…' , '…' , '…' , '…'");
    is("select 1-- c\nfrom t /* a /* b */ c */ where x", "select ? \nfrom t   where x");
    is("select 1; set app.token = abc; select 2", "select ?; set app.token = …; select ?");
    is("set app.token = abc", "set app.token = …");
    is("SET LOCAL app.token TO abc", "SET LOCAL app.token TO …");
    is("alter role x set app.token to abc", "alter role x set app.token to …");
    is("alter role x\nset app.token = abc", "alter role x\nset app.token = …");
    is("set app.token\nto abc", "set app.token\nto …");
    is("set/**/app.\"token\"\t=abc", "set app.\"token\"\t= …");
    is(
        "create or replace function f() returns int language sql set app.token = abc as 'x'",
        "create or replace function f() returns int language sql set app.token = …",
    );
    is("create server s options (host 'h', port 5)", "create server s options (host '…', port ?)");
    is("copy t from stdin with (format csv, null abc)", "copy t from stdin with (format csv, null …)");
    is(
        "create text search dictionary d (template = simple, stopwords = abc)",
        "create text search dictionary d (template = …, stopwords = …)",
    );
}

#[test]
fn what_was_cut_off_in_the_middle_has_no_end() {
    is("select 'abc", "select '…'");
    is("select E'abc\\", "select '…'");
    is("select $$abc", "select '…'");
    is("select \"abc", "select \"…");
    is("select /* abc", "select  ");
    is("set app.token = ab", "set app.token = …");
    is("alter role x password", "alter role x password");
}

#[test]
fn after_a_quote_that_is_missing_nothing_is_trusted() {
    is("insert into t values (1, 'a', 'O'Brien', 'b')", "insert into t values (?, '…' …");
    is("insert into t values ('a', 'O' Brien', b c)", "insert into t values ('…' …");
    is("alter role x password 'it's b' login", "alter role x password '…' …");
    is("set app.token = 'it's; b'", "set app.token = …");
    is("select 'C:\\', b, 'c'", "select '…' …");
    is("it's b", "'…'");
}

#[test]
fn a_canary_never_leaves() {
    for sql in [
        "CREATE ROLE x LOGIN PASSWORD 'c4n4ry'",
        "ALTER USER x WITH ENCRYPTED PASSWORD E'c4n4ry\\''",
        "create user x identified by c4n4ry",
        "altre role x password c4n4ry",
        "alter role update set app.k = c4n4ry",
        "create function update() returns update set app.k = c4n4ry",
        "alter role x set app.k c4n4ry",
        "set password for x = c4n4ry",
        "set app.k c4n4ry",
        "set session = c4n4ry",
        "set role.k = c4n4ry",
        "set U&\"app\".k to \"c4n4ry\"",
        "set app.k := c4n4ry",
        "explain alter role x set app.k = c4n4ry",
        "select 1 alter role x set app.k = c4n4ry",
        "ALTER SYSTEM SET primary_conninfo = 'password=c4n4ry'",
        "CREATE USER MAPPING FOR x SERVER y OPTIONS (user 'u', password c4n4ry)",
        "ALTER SERVER s OPTIONS (SET password c4n4ry, ADD x \"c4n4ry\")",
        "CREATE SUBSCRIPTION s CONNECTION host=h password=c4n4ry PUBLICATION p",
        "COPY t FROM PROGRAM 'curl -u x:c4n4ry http://h'",
        "select 1 /* c4n4ry */ -- c4n4ry",
        "select 'a' 'c4n4ry",
        "select E'a'\n'\\'c4n4ry'",
        "NOTIFY ch, 'c4n4ry'",
        "EXPLAIN SELECT * FROM t WHERE a = 'c4n4ry'",
        "select 'größe c4n4ry'",
    ] {
        let redacted = redact_sql(sql);
        assert!(!redacted.contains(CANARY), "{sql} -> {redacted}");
    }
}

/// Statements with a place for a value, as a bare word or a string (`@`), or as
/// a string only (`#`), and places for anything that separates words (a blank).
const STATEMENTS: &[&str] = &[
    "set app.k = @",
    "set local app . k to @ , @",
    "set session \"app\" . k = @",
    "set time zone @",
    "alter role r set app.k = @",
    "alter role r in database d set app.k to @",
    "alter database d set app.k = @",
    "alter system set app.k = @",
    "alter function f ( int ) set app.k = @ reset app.j",
    "create or replace function f ( a int default 5 ) returns text language sql set app.k = @ as #",
    "create procedure update ( ) set app.k to @ begin atomic select # ; end",
    "create role r login password @ valid until #",
    "create user r identified by @",
    "alter group r with encrypted password @",
    "create subscription s connection @ publication p with ( application_name = @ )",
    "alter subscription s set ( slot_name = @ )",
    "create user mapping for r server s options ( user # , password @ )",
    "create server s foreign data wrapper w options ( host @ , dbname # )",
    "alter server s options ( set host @ , drop dbname , add port @ )",
    "import foreign schema a from server s into b options ( x @ )",
    "create table t ( a text default # check ( a <> # ) ) with ( x.y = @ )",
    "create text search dictionary d ( template = simple , stopwords = @ )",
    "copy t from program # with ( format csv , null @ , quote # )",
    "copy ( select a from t where b = # ) to stdout ( delimiter @ )",
    "do language plpgsql #",
    "notify ch , #",
    "comment on role r is #",
    "security label for p on role r is #",
    "prepare transaction #",
    "explain ( analyze ) insert into t values ( # , # )",
    "execute p ( # , 5 )",
    "update t set a = # where b in ( # , 7 )",
    "alter type mood add value # before #",
];

fn separator() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(" ".to_owned()),
        2 => "[ \t\n\r\u{b}\u{c}]{1,3}",
        1 => Just("/*c4n4ry 'c4n4ry */".to_owned()),
        1 => Just("/* a /* c4n4ry */ \"c4n4ry */".to_owned()),
        1 => Just(" --c4n4ry' /*\n".to_owned()),
        1 => Just("--\r".to_owned()),
    ]
}

/// A string around the canary, and nothing that ends it.
fn string() -> impl Strategy<Value = String> {
    let inside = "[a-z 0-9=;,()$\"/*äß€-]{0,8}";
    (inside, inside, 0..7_u8).prop_map(|(before, after, form)| {
        let text = format!("{before}{CANARY}{after}");
        match form {
            0 => format!("E'{text}\\' {CANARY}'"),
            1 => format!("$tag${text}$tag$").replace("$$tag$", "$ $tag$"),
            2 => format!("$${} {CANARY}$$", text.replace('$', "'")),
            3 => format!("U&'{text}'"),
            4 => format!("'{text}''{CANARY}'"),
            5 => format!("'{text}'\n  '{CANARY}'"),
            _ => format!("'{text}'"),
        }
    })
}

fn bare() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,3}".prop_map(|begin| format!("{begin}{CANARY}")),
        Just(format!("\"{CANARY} x\"")),
        Just(format!("é{CANARY}")),
        Just(format!("{CANARY}.{CANARY}")),
    ]
}

/// A word in letters of any case.
fn in_any_case(word: &str, upper: u32) -> String {
    word.chars()
        .enumerate()
        .map(|(at, c)| if upper >> (at % 32) & 1 == 1 { c.to_ascii_uppercase() } else { c })
        .collect()
}

prop_compose! {
    fn statement()(
        template in prop::sample::select(STATEMENTS),
        separators in prop::collection::vec(separator(), 48),
        strings in prop::collection::vec(string(), 8),
        bares in prop::collection::vec((bare(), any::<bool>()), 8),
        upper in any::<u32>(),
    ) -> String {
        let mut out = String::new();
        let mut values = strings.iter().zip(&bares).cycle();
        let words = template.split(' ').zip(separators.iter().cycle());
        for (word, separator) in words {
            let (string, (bare, as_string)) = values.next().unwrap();
            match word {
                "#" => out.push_str(string),
                "@" => out.push_str(if *as_string { string } else { bare }),
                _ => out.push_str(&in_any_case(word, upper)),
            }
            out.push_str(separator);
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_arrangement_of_a_statement_lets_a_value_through(
        statements in prop::collection::vec(statement(), 1..3),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = statements.join(";");
        prop_assert!(!redact_sql(&text).contains(CANARY), "{}\n-> {}", text, redact_sql(&text));
        let mut end = cut.index(text.len() + 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let begin = &text[..end];
        prop_assert!(!redact_sql(begin).contains(CANARY), "{}\n-> {}", begin, redact_sql(begin));
    }

    #[test]
    fn any_text_can_be_read_and_its_strings_are_empty(text in "[a-z'$;=/*(),.\\\\ \nEU&1é-]{0,40}") {
        let redacted = redact_sql(&text).into_owned();
        prop_assert!(redacted.split('\'').skip(1).step_by(2).all(|inside| inside == "…"), "{}\n-> {}", text, redacted);
    }
}
