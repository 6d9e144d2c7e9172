//! What `check` says of a server's log: where it is read, and what is missing.

use std::{fs::File, io, sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    super::{keeper::Keeper, lack, query_fault::QueryFault, session::Session, visit::Shared},
    over_sql,
    place::{self, Settings},
};
use crate::{
    check::{Finding, State},
    logs::{
        Format,
        tail::{Place, newest},
    },
};

/// Time for the whole look.
const LIMIT: Duration = Duration::from_secs(30);
/// What is in entries only when the prefix has it, and what for.
const WANTED: &[(&[&str], &str)] =
    &[(&["m", "t", "n"], "%m"), (&["p", "c"], "%p"), (&["u"], "%u"), (&["d"], "%d"), (&["a"], "%a"), (&["e"], "%e")];
/// It has them all.
const PREFIX: &str = "%m [%p] %q%u@%d/%a %e ";

/// Tries to read its log.
pub(in super::super) async fn check(shared: &Shared) -> Vec<Finding> {
    let deadline = Instant::now() + LIMIT;
    let keeper = Keeper::for_databases(&shared.config, &shared.connector, &shared.budget);
    let database: Arc<str> = shared.config.database.as_str().into();
    let (mut session, in_recovery) = match shared.enter(&keeper, &database, deadline).await {
        Ok(entered) => entered,
        Err(problem) => return vec![degraded(problem.message, None)],
    };
    let settings = place::read(&mut session, &shared.config).await;
    let over_sql = settings.is_over_sql(&shared.config);
    let mut findings = Vec::new();
    let found = if over_sql { None } else { on_this_host(shared, &settings, deadline).await };
    match found {
        Some((finding, format)) => {
            findings.push(finding);
            findings.extend(format.as_ref().and_then(about_prefix));
        }
        None => findings.extend(through_server(shared, &mut session, &settings, in_recovery).await),
    }
    findings
}

fn degraded(message: impl Into<String>, fix: Option<String>) -> Finding {
    Finding { about: "log", state: State::Degraded, message: message.into(), fix }
}

fn works(message: String) -> Finding {
    Finding { about: "log", state: State::Works, message, fix: None }
}

/// `None`: its folder is not here.
async fn on_this_host(shared: &Shared, settings: &Settings, deadline: Instant) -> Option<(Finding, Option<Format>)> {
    let place = match settings.place(&shared.config, pganalytics_core::Timestamp::from_secs(0), false) {
        Ok(place) => place,
        Err(reason) => return Some((degraded(reason, settings.fix()), None)),
    };
    let format = place.format.clone();
    // A dead mount keeps the thread, not the check.
    let looking = spawn_blocking(move || {
        let found = newest(&place.patterns).and_then(|found| match found {
            Some(path) => File::open(&path).map(|_| Some(path.clone())).map_err(|error| (path, error)),
            None => Ok(None),
        });
        (found, place)
    });
    let finding = match timeout_at(deadline, looking).await {
        Ok(Ok((Ok(Some(path)), place))) => works(format!("{} are read from {}", kind(&place), path.display())),
        Ok(Ok((Ok(None), place))) => degraded(place::no_file(&place), None),
        Ok(Ok((Err((_, error)), _)))
            if error.kind() == io::ErrorKind::NotFound && shared.config.log.paths.is_empty() =>
        {
            return None;
        }
        Ok(Ok((Err((path, error)), _))) => degraded(place::advice(&path, &error), None),
        Ok(Err(_)) | Err(_) => degraded("the file system that holds the log does not answer", None),
    };
    Some((finding, Some(format)))
}

async fn through_server(
    shared: &Shared,
    session: &mut Session,
    settings: &Settings,
    in_recovery: bool,
) -> Vec<Finding> {
    let config = &shared.config;
    let place = match settings.place(config, pganalytics_core::Timestamp::from_secs(0), true) {
        Ok(place) => place,
        Err(reason) => return vec![degraded(reason, settings.fix())],
    };
    let tried = async {
        session.begin().await?;
        let lacks = over_sql::lacks(session, config).await?;
        if !lacks.is_empty() {
            let there = lack::Place { database: &config.database, user: &config.user, in_recovery };
            let fix = there.script(&lacks.join(";\n"));
            return Ok(degraded(over_sql::advice(config, &lacks), Some(fix)));
        }
        Ok(match over_sql::probe(session, &place).await? {
            Some(path) => works(format!("{} are read from {path} over SQL", kind(&place))),
            None => degraded(over_sql::no_file(&place), None),
        })
    };
    let tried: Result<Finding, QueryFault> = tried.await;
    let _ = session.end().await;
    let prefix = about_prefix(&place.format);
    match tried {
        Ok(finding) => std::iter::once(finding).chain(prefix).collect(),
        Err(fault) => vec![degraded(format!("the log could not be read over SQL: {fault}"), None)],
    }
}

fn kind(place: &Place) -> &'static str {
    match place.format {
        Format::Csv => "entries in csvlog",
        Format::Json => "entries in jsonlog",
        Format::Syslog(_) => "entries of a syslog daemon",
        _ => "entries in stderr's format",
    }
}

/// What lines of stderr and syslog do not say.
fn about_prefix(format: &Format) -> Option<Finding> {
    let (Format::Stderr(prefix) | Format::Syslog(prefix)) = format else { return None };
    let text = prefix.as_str().replace("%%", "");
    let letters: Vec<String> = text
        .split('%')
        .skip(1)
        .filter_map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').chars().next())
        .map(String::from)
        .collect();
    let missing: Vec<&str> = WANTED
        .iter()
        .filter(|(any, _)| !any.iter().any(|letter| letters.iter().any(|has| has == letter)))
        .map(|(_, name)| *name)
        .collect();
    (!missing.is_empty()).then(|| {
        degraded(
            format!(
                "log_line_prefix lacks {}, so entries do not say it; csvlog and jsonlog (15 and later) have everything",
                missing.join(", ")
            ),
            Some(format!("ALTER SYSTEM SET log_line_prefix = '{PREFIX}';\nSELECT pg_reload_conf();")),
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::logs::Prefix;

    #[test]
    fn what_a_prefix_lacks() {
        let of = |prefix: &str| about_prefix(&Format::Stderr(Prefix::new(prefix))).map(|finding| finding.message);
        assert!(of(PREFIX).is_none() && of("%t:%c:%10u:%-5d:%a:%e").is_none());
        let lacks = of("%m [%p] %%u ").unwrap();
        assert!(lacks.starts_with("log_line_prefix lacks %u, %d, %a, %e,"), "{lacks}");
        assert!(about_prefix(&Format::Csv).is_none());
    }
}
