//! Why a statement brought nothing, told so that its reader knows what to do.

use tokio_postgres::error::{DbError, SqlState};

use crate::{collector::Outcome, postgres::session::fault::one_line, qualified::quote_ident};

/// Why a statement brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryFault {
    /// The session is gone, for this reason.
    #[error("the connection was lost ({0}); a new one is made at the next visit")]
    Lost(String),
    /// The server refused, with this SQLSTATE and these words.
    #[error("{message} (SQLSTATE {code})")]
    Refused { code: String, message: String },
    /// What came does not fit the catalog file.
    #[error("{0}")]
    Misfit(String),
}

impl From<&tokio_postgres::Error> for QueryFault {
    fn from(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => Self::Refused { code: said.code().code().to_owned(), message: words(said) },
            None => Self::Lost(one_line(&error.to_string())),
        }
    }
}

/// What the server said, without what may be data.
fn words(said: &DbError) -> String {
    let message = one_line(said.message());
    match said.code().code().get(..2) {
        // Names, settings, resources: needed to act upon, and never data.
        Some(
            "08" | "0A" | "25" | "26" | "28" | "3D" | "3F" | "42" | "53" | "54" | "55" | "57" | "58" | "F0" | "XX",
        ) => message,
        // Anything else may quote values: class 22 does, RAISE may say anything.
        _ => String::from("its words may hold data and are left out; run the query by hand to see them"),
    }
}

/// What the role is, for advice.
pub(crate) struct QueryContext<'a> {
    pub(crate) user: &'a str,
    pub(crate) monitors: bool,
    pub(crate) database: &'a str,
    /// Whether that database is in UTF8.
    pub(crate) in_utf8: bool,
    pub(crate) extension: Option<&'a str>,
    pub(crate) statement_timeout: std::time::Duration,
    pub(crate) lock_timeout: std::time::Duration,
}

impl QueryFault {
    /// Whether the session is of no more use.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    /// Whether trying again soon would only fill the server's log.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Lost(_) => false,
            Self::Misfit(_) => true,
            Self::Refused { code, .. } => !matches!(code.get(..2), Some("53" | "55" | "40" | "58")),
        }
    }

    /// How a visit went that failed so before any measurement.
    pub(crate) fn plain_outcome(&self) -> Outcome {
        Outcome::failed(self)
    }

    /// How a measurement went that failed so.
    pub(crate) fn outcome(&self, query_context: &QueryContext<'_>) -> Outcome {
        let (code, message) = match self {
            Self::Lost(_) | Self::Misfit(_) => return self.plain_outcome(),
            Self::Refused { code, message } => (SqlState::from_code(code), message),
        };
        if code == SqlState::LOCK_NOT_AVAILABLE {
            let reason = format!(
                "a lock was not free within lock_timeout ({:?}); it is tried again",
                query_context.lock_timeout
            );
            return Outcome::Skipped { reason };
        }
        let advice = match self.statement(query_context) {
            Some(Fix { statement, because: "" }) => format!("run in database {}: {statement}", query_context.database),
            Some(Fix { statement, because }) => {
                format!("{because}; run in database {}: {statement}", query_context.database)
            }
            None => query_context.advice(&code, message),
        };
        Outcome::Failed { message: format!("{message} (SQLSTATE {}); {advice}", code.code()) }
    }

    /// What is wrong, and the statement that mends it where there is one.
    pub(crate) fn why(&self, query_context: &QueryContext<'_>) -> (String, Option<String>) {
        match (self, self.statement(query_context)) {
            (_, Some(fix)) => (self.to_string(), Some(fix.statement)),
            (_, None) => match self.outcome(query_context) {
                Outcome::Failed { message } => (message, None),
                _ => (self.to_string(), None),
            },
        }
    }

    /// Kind and name of what the role may not use, where `pg_monitor` does not
    /// open it.
    pub(crate) fn denied(&self) -> Option<(&str, &str)> {
        let Self::Refused { code, message } = self else { return None };
        if SqlState::from_code(code) != SqlState::INSUFFICIENT_PRIVILEGE {
            return None;
        }
        let (kind, name) = message.strip_prefix("permission denied for ")?.split_once(' ')?;
        Some((kind, name.trim_start_matches("view ").trim_start_matches("table ")))
    }

    /// The statement that mends it, in the database where it happened.
    fn statement(&self, query_context: &QueryContext<'_>) -> Option<Fix> {
        let Self::Refused { code, .. } = self else { return None };
        let code = SqlState::from_code(code);
        if code == SqlState::INSUFFICIENT_PRIVILEGE {
            return Some(Fix { statement: grant(self.denied(), query_context)?, because: "" });
        }
        // pg_stat_statements turns all texts into the encoding of the database that asks, and some
        // pairs of encodings have no conversion.
        let converting = query_context.extension == Some("pg_stat_statements") && !query_context.in_utf8;
        if converting
            && [SqlState::UNDEFINED_FUNCTION, SqlState::CHARACTER_NOT_IN_REPERTOIRE, SqlState::UNTRANSLATABLE_CHARACTER]
                .contains(&code)
        {
            return None;
        }
        let gone = [SqlState::UNDEFINED_COLUMN, SqlState::UNDEFINED_FUNCTION, SqlState::UNDEFINED_TABLE];
        let extension = query_context.extension.filter(|_| gone.contains(&code))?;
        let statement = format!("ALTER EXTENSION {} UPDATE", quote_ident(extension));
        Some(Fix { statement, because: "the extension may be older than its library" })
    }
}

/// A statement that mends something.
struct Fix {
    statement: String,
    because: &'static str,
}

impl QueryContext<'_> {
    /// What to do where no statement mends it.
    fn advice(&self, code: &SqlState, message: &str) -> String {
        let database = self.database;
        if *code == SqlState::QUERY_CANCELED {
            format!(
                "it ran longer than statement_timeout ({:?}) or somebody cancelled it; make the query cheaper, \
                 or raise statement_timeout of the server in the settings",
                self.statement_timeout
            )
        } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            format!("GRANT pg_monitor TO {}, or the right that is missing", quote_ident(self.user))
        } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            String::from("a measurement may only read; change its sql")
        } else if self.extension == Some("pg_stat_statements") && !self.in_utf8 && *code != SqlState::UNDEFINED_COLUMN {
            format!(
                "texts of statements from databases of other encodings can't be read in {database}; \
                 CREATE EXTENSION pg_stat_statements in a database in UTF8"
            )
        } else if *code == SqlState::FEATURE_NOT_SUPPORTED && message.contains("cached plan") {
            String::from("a table was changed; it is tried again at the next visit")
        } else if matches!(*code, SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_FUNCTION | SqlState::UNDEFINED_TABLE)
        {
            format!(
                "check the sql of its catalog file against database {database}; \
                 search_path is pg_catalog, so other schemas must be named"
            )
        } else if code.code().starts_with("42") {
            String::from("check the sql of its catalog file")
        } else if code.code().starts_with("53") {
            String::from("the server is out of a resource; it is tried again")
        } else {
            String::from("see the server's log")
        }
    }
}

/// The command that lifts `permission denied for <kind> <name>`, where it can be
/// told.
fn grant(object: Option<(&str, &str)>, query_context: &QueryContext<'_>) -> Option<String> {
    let user = quote_ident(query_context.user);
    // What pg_monitor opens is PostgreSQL's own; its members never lack that.
    if !query_context.monitors && object.is_none_or(|(_, name)| name.starts_with("pg_")) {
        return Some(format!("GRANT pg_monitor TO {user}"));
    }
    let (kind, name) = object?;
    let name = quote_ident(name);
    match kind {
        "table" | "view" | "relation" | "sequence" | "foreign" | "materialized" => {
            Some(format!("GRANT SELECT ON {name} TO {user}"))
        }
        "schema" => Some(format!("GRANT USAGE ON SCHEMA {name} TO {user}")),
        "function" => Some(format!("GRANT EXECUTE ON FUNCTION {name} TO {user}")),
        _ => None,
    }
}
