//! What exactly may not be used: the server's message has no schema.

use crate::{
    postgres::{
        query::{
            fault::QueryFault,
            requirement::{FixTarget, literal},
        },
        session::Session,
    },
    qualified::quote_ident,
};

/// The statement that grants what a query was denied, its name told apart from
/// its namesakes; `None` where it can't be.
pub(super) async fn grant(session: &mut Session, fault: &QueryFault, target: &FixTarget<'_>) -> Option<String> {
    let (kind, name) = fault.denied()?;
    let (what, sql) = match kind {
        "table" | "view" | "relation" | "sequence" => (
            "SELECT ON",
            format!(
                "select oid::regclass::text from pg_catalog.pg_class \
                 where relname = {} and not pg_catalog.has_table_privilege(oid, 'select')",
                literal(name)
            ),
        ),
        "function" => (
            "EXECUTE ON FUNCTION",
            format!(
                "select oid::regprocedure::text from pg_catalog.pg_proc \
                 where proname = {} and not pg_catalog.has_function_privilege(oid, 'execute')",
                literal(name)
            ),
        ),
        _ => return None,
    };
    let mut names: Vec<String> = Vec::new();
    let read = session.read(&sql, None, |row| {
        names.extend(row.try_get::<_, String>(0).ok());
        Ok(())
    });
    read.await.ok()?;
    match names.as_slice() {
        [only] => Some(format!("GRANT {what} {only} TO {}", quote_ident(target.user))),
        _ => None,
    }
}
