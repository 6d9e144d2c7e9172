//! `pg_settings_*`: each setting that is a number or a switch.

use super::FamilyWriter;
use crate::exporter::{page::Kind, server_view::ServerView, text::Number};

pub(super) fn settings(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    let (mut name, mut help) = (String::new(), String::new());
    for row in view.rows("pg_settings") {
        let Some(value) = row.number("value").map(Number::as_f64) else { continue };
        let (setting, unit) = (row.text("name"), row.text("value_unit"));
        name.clear();
        name.push_str("pg_settings_");
        name.extend(setting.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
        help.clear();
        help.push_str("Server Parameter: ");
        help.push_str(setting);
        if !unit.is_empty() {
            name.push('_');
            name.push_str(unit);
            help.push_str(" [Units converted to ");
            help.push_str(unit);
            help.push_str(".]");
        }
        writer.put(view, (&name, Kind::Gauge, &help), &[], value);
    }
}
