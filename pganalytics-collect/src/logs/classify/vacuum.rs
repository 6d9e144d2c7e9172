//! Automatic vacuum and analyze, in the words of 14 to 18.

use crate::logs::{
    class::Class,
    facts::{Autovacuum, Facts},
    scan::{Scan, number_after, number_before},
};

pub(super) fn automatic(message: &str) -> Option<(Class, Facts<'_>)> {
    let (what, rest) = message.split_once(" of table \"")?;
    let (name, rest) = rest.split_once('"')?;
    let mut facts = Autovacuum {
        to_prevent_wraparound: what.contains("to prevent wraparound"),
        aggressive: what.contains("aggressive"),
        index_scans: number_after(rest, "index scans: "),
        ..Autovacuum::default()
    };
    let mut names = name.splitn(3, '.');
    facts.database = names.next().unwrap_or_default();
    facts.schema = names.next().unwrap_or_default();
    facts.table = names.next().unwrap_or_default();
    for line in rest.lines().skip(1) {
        read(line, &mut facts);
    }
    let facts = Box::new(facts);
    Some(if what.contains("analyze") {
        (Class::Autoanalyze, Facts::Autoanalyze(facts))
    } else {
        (Class::Autovacuum, Facts::Autovacuum(facts))
    })
}

fn read(line: &str, facts: &mut Autovacuum<'_>) {
    let Some((key, text)) = line.split_once(':') else { return };
    match key {
        "pages" => {
            facts.pages_removed = number_before(text, " removed");
            facts.pages_remain = number_before(text, " remain");
            facts.pages_scanned = number_before(text, " scanned");
            facts.pages_skipped_pins = number_before(text, " skipped due to pins");
            facts.pages_skipped_frozen = number_before(text, " skipped frozen");
        }
        "tuples" => {
            facts.tuples_removed = number_before(text, " removed");
            facts.tuples_remain = number_before(text, " remain");
            facts.tuples_dead_not_removable = number_before(text, " are dead but not yet removable");
            // 14
            facts.removable_cutoff_xid = number_after(text, "oldest xmin: ");
        }
        "removable cutoff" => {
            facts.removable_cutoff_xid = Scan(text.trim_start()).number();
            facts.removable_cutoff_age = number_before(text, " XIDs old");
        }
        "new relfrozenxid" => facts.new_relfrozenxid = Scan(text.trim_start()).number(),
        "frozen" => {
            facts.pages_frozen = number_before(text, " pages from table");
            facts.tuples_frozen = number_before(text, " tuples frozen");
        }
        "visibility map" => {
            facts.pages_set_all_visible = number_before(text, " pages set all-visible");
            facts.pages_set_all_frozen = number_before(text, " pages set all-frozen");
        }
        "index scan needed" | "index scan not needed" | "index scan bypassed" | "index scan bypassed by failsafe" => {
            facts.pages_with_dead_items = number_before(text, " pages from table");
            // Bypassed: they are there, but not removed.
            if !key.contains("bypassed") {
                facts.dead_items_removed = number_before(text, " dead item identifiers");
            }
        }
        "delay time" => facts.delay_ms = Scan(text.trim_start()).number(),
        "I/O timings" => {
            facts.io_read_ms = number_after(text, "read: ");
            facts.io_write_ms = number_after(text, "write: ");
        }
        "avg read rate" => {
            facts.read_rate = Scan(text.trim_start()).number();
            facts.write_rate = number_after(text, "avg write rate: ");
        }
        "buffer usage" => {
            facts.buffer_hits = number_before(text, " hits");
            // 17 renamed them.
            facts.buffer_reads = number_before(text, " reads").or_else(|| number_before(text, " misses"));
            facts.buffer_dirtied = number_before(text, " dirtied");
        }
        "WAL usage" => {
            facts.wal_records = number_before(text, " records");
            facts.wal_fpi = number_before(text, " full page images");
            facts.wal_bytes = number_before(text, " bytes");
            facts.wal_buffers_full = number_before(text, " buffers full");
        }
        "system usage" => {
            facts.cpu_user_s = number_after(text, "user: ");
            facts.cpu_system_s = number_after(text, "system: ");
            facts.elapsed_s = number_after(text, "elapsed: ");
        }
        _ => {}
    }
}
