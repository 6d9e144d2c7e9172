//! What measurements want of a server, and what it has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pganalytics_core::catalog::{Measurement, Want, Wanted};

use crate::{
    check::{MeasurementCheck, State},
    postgres::{
        query::{
            fault::QueryFault,
            requirement::{FixTarget, Libraries, literal},
        },
        session::Session,
    },
    qualified::quote_ident,
};

/// A setting of the server.
#[derive(Debug, Clone)]
struct Setting {
    value: String,
    /// It holds after a restart only.
    restart: bool,
    pending: bool,
}

/// What the server has of that which is wanted.
#[derive(Debug, Default)]
pub(super) struct Has {
    settings: BTreeMap<String, Setting>,
    /// Roles and functions that our role lacks.
    lacking: BTreeSet<String>,
}

const PRELOADED: &str = "shared_preload_libraries";

impl Has {
    /// Asks for all that these measurements want. What the server does not know,
    /// or does not tell this role, is not held against it.
    pub(super) async fn ask(
        session: &mut Session,
        measurements: impl IntoIterator<Item = &Arc<Measurement>>,
    ) -> Result<Self, QueryFault> {
        let wants: Vec<&Want> = measurements.into_iter().flat_map(|measurement| measurement.wants()).collect();
        let names: BTreeSet<&str> = wants.iter().filter_map(|want| want.setting()).chain([PRELOADED]).collect();
        let names: Vec<_> = names.into_iter().map(literal).collect();
        let sql = format!(
            "select name::text, setting::text, context = 'postmaster', pending_restart \
             from pg_catalog.pg_settings where name in ({})",
            names.join(", ")
        );
        let mut has = Self::default();
        session
            .read(&sql, None, |row| {
                if let (Ok(name), Ok(value)) = (row.try_get::<_, String>(0), row.try_get(1)) {
                    let restart = row.try_get(2).unwrap_or_default();
                    let pending = row.try_get(3).unwrap_or_default();
                    has.settings.insert(name, Setting { value, restart, pending });
                }
                Ok(())
            })
            .await?;
        for want in wants {
            let (name, sql) = match &want.what {
                Wanted::Role(name) => (
                    name,
                    format!(
                        "select pg_catalog.pg_has_role(oid, 'usage') from pg_catalog.pg_roles where rolname = {}",
                        literal(name)
                    ),
                ),
                Wanted::Function(name) => (
                    name,
                    format!(
                        "select pg_catalog.has_function_privilege(oid, 'execute') from pg_catalog.pg_proc \
                         where oid = pg_catalog.to_regprocedure({})",
                        literal(name)
                    ),
                ),
                _ => continue,
            };
            let may = session.first(&sql, |row| row.try_get::<_, bool>(0)).await?;
            if matches!(may, Some(Ok(false))) {
                has.lacking.insert(name.clone());
            }
        }
        Ok(has)
    }

    /// What is loaded, where our role may know.
    pub(super) fn libraries(&self) -> Option<Libraries> {
        let setting = self.settings.get(PRELOADED)?;
        Some(Libraries::new(&setting.value, setting.pending))
    }

    /// Notes at a measurement that works what it wants and does not have.
    pub(super) fn judge(
        &self,
        measurement: &Measurement,
        version: u32,
        target: &FixTarget<'_>,
        check: &mut MeasurementCheck,
    ) {
        if check.state == State::Off {
            return;
        }
        for want in measurement.wants().iter().filter(|want| want.postgres.contains(version)) {
            if let Some((what, fix)) = self.missing(want, target) {
                check.degrade(&format!("{what}: {}", want.without), &fix);
            }
        }
    }

    /// What is wrong with something that is wanted, and what mends it.
    fn missing(&self, want: &Want, target: &FixTarget<'_>) -> Option<(String, String)> {
        let user = quote_ident(target.user);
        match &want.what {
            Wanted::Role(role) if self.lacking.contains(role) => {
                let fix = target.anywhere(&format!("GRANT {} TO {user}", quote_ident(role)));
                Some((format!("the role is not a member of {role}"), fix))
            }
            Wanted::Function(function) if self.lacking.contains(function) => {
                let fix = target.script(&format!("GRANT EXECUTE ON FUNCTION {function} TO {user}"));
                Some((format!("the role may not execute {function}"), fix))
            }
            _ => {
                let name = want.setting()?;
                let setting = self.settings.get(name).filter(|setting| !want.is_met_by(&setting.value))?;
                let value = match &want.what {
                    Wanted::Setting { values, .. } => values.first().cloned().unwrap_or_default(),
                    Wanted::AtLeast { value, .. } => value.to_string(),
                    _ => return None,
                };
                let then = if setting.restart { "-- restart PostgreSQL" } else { "SELECT pg_reload_conf();" };
                let fix = match setting.pending {
                    true => format!("-- {name} was changed already: restart PostgreSQL"),
                    false => format!("ALTER SYSTEM SET {name} = {};\n{then}", literal(&value)),
                };
                Some((format!("{name} is {}", setting.value), fix))
            }
        }
    }
}
