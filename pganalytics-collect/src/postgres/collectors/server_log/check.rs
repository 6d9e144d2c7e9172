//! What `check` says of a server's log: where it is read, and what is missing.

use std::{fs::File, io, sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    location::{self, Settings},
    remote,
};
use crate::{
    check::{Finding, State},
    logs::{
        Format,
        tail::{LogLocation, newest},
    },
    postgres::{
        query::{context::ServerContext, fault::QueryFault, requirement},
        session::{Session, pool::SessionPool},
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
pub(in crate::postgres) async fn check(context: &ServerContext) -> Vec<Finding> {
    let deadline = Instant::now() + LIMIT;
    let pool = SessionPool::for_databases(&context.config, &context.connector, &context.budget);
    let database: Arc<str> = context.config.database.as_str().into();
    let (mut session, in_recovery) = match context.live_session(&pool, &database, deadline).await {
        Ok(entered) => entered,
        Err(problem) => return vec![degraded(problem.message, None)],
    };
    let settings = location::read(&mut session, &context.config).await;
    let over_sql = settings.is_over_sql(&context.config);
    let mut findings = Vec::new();
    let found = if over_sql { None } else { on_this_host(context, &settings, deadline).await };
    match found {
        Some((finding, format)) => {
            findings.push(finding);
            findings.extend(format.as_ref().and_then(about_prefix));
        }
        None => findings.extend(through_server(context, &mut session, &settings, in_recovery).await),
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
async fn on_this_host(
    context: &ServerContext,
    settings: &Settings,
    deadline: Instant,
) -> Option<(Finding, Option<Format>)> {
    let location = match settings.location(&context.config, pganalytics_core::Timestamp::from_secs(0), false) {
        Ok(location) => location,
        Err(reason) => return Some((degraded(reason, settings.fix()), None)),
    };
    let format = location.format.clone();
    // A dead mount keeps the thread, not the check.
    let looking = spawn_blocking(move || {
        let found = newest(&location.patterns).and_then(|found| match found {
            Some(path) => File::open(&path).map(|_| Some(path.clone())).map_err(|error| (path, error)),
            None => Ok(None),
        });
        (found, location)
    });
    let finding = match timeout_at(deadline, looking).await {
        Ok(Ok((Ok(Some(path)), location))) => works(format!("{} are read from {}", kind(&location), path.display())),
        Ok(Ok((Ok(None), location))) => degraded(location::no_file(&location), None),
        Ok(Ok((Err((_, error)), _)))
            if error.kind() == io::ErrorKind::NotFound && context.config.log.paths.is_empty() =>
        {
            return None;
        }
        Ok(Ok((Err((path, error)), _))) => degraded(location::advice(&path, &error), None),
        Ok(Err(_)) | Err(_) => degraded("the file system that holds the log does not answer", None),
    };
    Some((finding, Some(format)))
}

async fn through_server(
    context: &ServerContext,
    session: &mut Session,
    settings: &Settings,
    in_recovery: bool,
) -> Vec<Finding> {
    let config = &context.config;
    let location = match settings.location(config, pganalytics_core::Timestamp::from_secs(0), true) {
        Ok(location) => location,
        Err(reason) => return vec![degraded(reason, settings.fix())],
    };
    let tried = async {
        session.begin().await?;
        let missing = remote::missing_grants(session, config).await?;
        if !missing.is_empty() {
            let there = requirement::FixTarget { database: &config.database, user: &config.user, in_recovery };
            let fix = there.script(&missing.join(";\n"));
            return Ok(degraded(remote::advice(config, &missing), Some(fix)));
        }
        Ok(match remote::probe(session, &location).await? {
            Some(path) => works(format!("{} are read from {path} over SQL", kind(&location))),
            None => degraded(remote::no_file(&location), None),
        })
    };
    let tried: Result<Finding, QueryFault> = tried.await;
    let _ = session.end().await;
    let prefix = about_prefix(&location.format);
    match tried {
        Ok(finding) => std::iter::once(finding).chain(prefix).collect(),
        Err(fault) => vec![degraded(format!("the log could not be read over SQL: {fault}"), None)],
    }
}

fn kind(location: &LogLocation) -> &'static str {
    match location.format {
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
        let missing = of("%m [%p] %%u ").unwrap();
        assert!(missing.starts_with("log_line_prefix lacks %u, %d, %a, %e,"), "{missing}");
        assert!(about_prefix(&Format::Csv).is_none());
    }
}
