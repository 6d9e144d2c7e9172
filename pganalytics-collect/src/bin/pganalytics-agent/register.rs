//! `register`, and what `run` does of it by itself.

use std::{process::ExitCode, time::Duration};

use pganalytics_collect::{
    Config,
    enrol::{self, EnrolError},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{FAILED, MISUSED, say, say_error};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(crate) async fn register(config: &Config) -> ExitCode {
    if let Some(file) = config.own_token() {
        say_error(&format!("{} is there: this agent is registered; remove it to register anew", file.display()));
        return ExitCode::from(FAILED);
    }
    match enrol::register(config).await {
        Ok(done) => {
            say(&format!("registered as {}; the token is in {}\n", done.collector_id, done.token_file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// Registers where it has to, however long the server is away.
///
/// # Errors
/// The exit code, when trying again mends nothing, or the agent is told to stop.
pub(crate) async fn before_running(config: &Config, stop: &CancellationToken) -> Result<(), ExitCode> {
    let mut pause = FIRST_PAUSE;
    while config.must_register() {
        match enrol::register(config).await {
            Ok(done) => info!(collector = done.collector_id, "registered at the server"),
            Err(error) if error.is_passing() => {
                warn!(again_in = ?pause, "{error}");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return Err(ExitCode::SUCCESS),
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(fail(&error)),
        }
    }
    Ok(())
}

fn fail(error: &EnrolError) -> ExitCode {
    say_error(&error.to_string());
    ExitCode::from(if matches!(error, EnrolError::Settings(_)) { MISUSED } else { FAILED })
}
