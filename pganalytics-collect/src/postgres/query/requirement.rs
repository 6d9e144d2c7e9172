//! What a server lacks for a measurement, and the commands that mend it.

use crate::{postgres::session::Extension, qualified::quote_ident};

/// What a server lacks for a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MissingRequirement {
    /// The library of an extension is not loaded.
    NotLoaded(String),
    /// The extension is not in the database.
    NotCreated(String),
    /// It was left behind when the server was upgraded.
    TooOld(Extension),
    /// The role may not execute a function.
    NoRight(String),
}

/// Where something is mended, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixTarget<'a> {
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
    /// It has to be done on the primary.
    pub(crate) in_recovery: bool,
}

impl MissingRequirement {
    /// What is wrong.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::NotLoaded(library) => format!("{library} is not loaded"),
            Self::NotCreated(extension) => format!("the extension {extension} is not there"),
            Self::TooOld(extension) => format!("{} {} is older than the server", extension.name, extension.version),
            Self::NoRight(function) => format!("the role may not execute {function}"),
        }
    }

    /// What is wrong and what to do, in a line.
    pub(crate) fn reason(&self, target: &FixTarget<'_>) -> String {
        let load = match self {
            Self::NotLoaded(_) => "add it to shared_preload_libraries, restart PostgreSQL, then ",
            _ => "",
        };
        format!("{}: {load}run in database {}: {}", self.why(), target.database, self.statement(target))
    }

    pub(crate) fn statement(&self, target: &FixTarget<'_>) -> String {
        match self {
            Self::NotLoaded(name) => format!("CREATE EXTENSION IF NOT EXISTS {}", quote_ident(name)),
            Self::NotCreated(name) => format!("CREATE EXTENSION {}", quote_ident(name)),
            Self::TooOld(extension) => format!("ALTER EXTENSION {} UPDATE", quote_ident(&extension.name)),
            Self::NoRight(function) if is_opened_by_monitor(function) => {
                format!("GRANT pg_monitor TO {}", quote_ident(target.user))
            }
            Self::NoRight(function) => format!("GRANT EXECUTE ON FUNCTION {function} TO {}", quote_ident(target.user)),
        }
    }

    /// The commands that mend it. `loaded` says what is loaded now, where the role
    /// may know.
    pub(crate) fn fix(&self, target: &FixTarget<'_>, loaded: Option<&Libraries>) -> String {
        let there = target.script(&self.statement(target));
        match (self, loaded) {
            (Self::NotLoaded(library), Some(loaded)) => format!("{}\n{there}", loaded.and(library)),
            // A list that is written without knowing it would lose what is in it.
            (Self::NotLoaded(_), None) => format!(
                "-- what is loaded now is hidden from this role; let it see, and check again:\n{}",
                target.anywhere(&format!("GRANT pg_monitor TO {}", quote_ident(target.user)))
            ),
            _ => there,
        }
    }
}

/// PostgreSQL opens what lists its own folders to `pg_monitor`; not `pg_ls_dir`,
/// which lists any.
fn is_opened_by_monitor(function: &str) -> bool {
    function.starts_with("pg_catalog.pg_ls_") && !function.starts_with("pg_catalog.pg_ls_dir(")
}

impl FixTarget<'_> {
    /// A script that runs this statement there.
    pub(crate) fn script(&self, statement: &str) -> String {
        let database = quote_ident(self.database);
        let first = if self.in_recovery { "-- on the primary:\n" } else { "" };
        format!("{first}\\c {database}\n{statement};")
    }

    /// A script for what is the same in all databases.
    pub(crate) fn anywhere(&self, statement: &str) -> String {
        let first = if self.in_recovery { "-- on the primary:\n" } else { "" };
        format!("{first}{statement};")
    }
}

/// `shared_preload_libraries`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Libraries {
    names: Vec<String>,
    /// It was changed already, and holds after a restart.
    pending: bool,
}

impl Libraries {
    pub(crate) fn new(setting: &str, pending: bool) -> Self {
        let name = |part: &str| part.trim().trim_matches('"').to_owned();
        Self { names: setting.split(',').map(name).filter(|name| !name.is_empty()).collect(), pending }
    }

    /// The commands that load one more, the others kept.
    fn and(&self, library: &str) -> String {
        if self.pending {
            return String::from("-- shared_preload_libraries was changed already: restart PostgreSQL");
        }
        // Each name is a text of its own: 'a, b' would be one library of that name.
        let others = self.names.iter().map(String::as_str).filter(|name| *name != library);
        let all: Vec<_> = others.chain([library]).map(literal).collect();
        format!("ALTER SYSTEM SET shared_preload_libraries = {};\n-- restart PostgreSQL", all.join(", "))
    }
}

/// A text as SQL takes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_stays_loaded() {
        let target = FixTarget { database: "My app", user: "monitor", in_recovery: false };
        let missing = MissingRequirement::NotLoaded("pg_stat_statements".to_owned());
        let fix = |setting: &str, pending| missing.fix(&target, Some(&Libraries::new(setting, pending)));
        let there = "\\c \"My app\"\nCREATE EXTENSION IF NOT EXISTS pg_stat_statements;";
        assert_eq!(
            fix(" auto_explain, \"it's\" ", false),
            format!(
                "ALTER SYSTEM SET shared_preload_libraries = 'auto_explain', 'it''s', 'pg_stat_statements';\n\
                 -- restart PostgreSQL\n{there}"
            )
        );
        assert!(fix("", false).starts_with("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements';"));
        assert!(fix("", true).ends_with(&format!("restart PostgreSQL\n{there}")));
        let standby = FixTarget { in_recovery: true, ..target };
        let loaded = Libraries::new("", false);
        assert!(missing.fix(&standby, Some(&loaded)).contains("-- restart PostgreSQL\n-- on the primary:\n\\c"));
        assert!(missing.fix(&target, None).ends_with("GRANT pg_monitor TO monitor;"));
    }
}
