//! `backup` and `restore`: their flags, and what they print.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command as Clap, value_parser};
use jiff::Timestamp;
use pganalytics_server::{
    config::Config,
    ops::backup::{self, BackupError, Manifest, Request},
};
use pganalytics_store::sqlite::backup::Checked;

use super::{
    Failure,
    args::{Backups, Command},
    say,
};

pub(crate) fn commands() -> Vec<Clap> {
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let path = || value_parser!(PathBuf);
    let backup = Clap::new("backup")
        .about("Back up the embedded store, also while the server runs")
        .arg(
            Arg::new("output")
                .long("output")
                .value_name("PATH")
                .value_parser(path())
                .help("A folder, or a file that is not there yet [default: PGANALYTICS_BACKUP_DIR]"),
        )
        .arg(
            Arg::new("keep")
                .long("keep")
                .value_name("N")
                .value_parser(value_parser!(u32).range(1..))
                .help("Then remove all backups of that folder but the newest N"),
        )
        .arg(switch("verify").help("Unpack it and read every value, before it gets its name"));
    let restore = Clap::new("restore")
        .about("Put a backup in the place of the store, while the server does not run")
        .arg(Arg::new("file").value_name("FILE").required(true).value_parser(path()))
        .arg(switch("replace").help("A store that is there is kept beside, in before-restore-TIME"))
        .arg(switch("check").help("Only unpack it and read every value; beside the backup, nothing else is touched"));
    vec![backup, restore]
}

pub(crate) fn chosen(name: &str, matches: &ArgMatches) -> Command {
    let path = |name| matches.get_one::<PathBuf>(name).cloned();
    Command::Backups(match name {
        "backup" => Backups::Make {
            output: path("output"),
            keep: matches.get_one::<u32>("keep").and_then(|keep| usize::try_from(*keep).ok()),
            verify: matches.get_flag("verify"),
        },
        _ if matches.get_flag("check") => Backups::Check { file: path("file").unwrap_or_default() },
        _ => Backups::Restore { file: path("file").unwrap_or_default(), replace: matches.get_flag("replace") },
    })
}

pub(crate) fn run(config: &Config, command: &Backups) -> Result<(), Failure> {
    match command {
        Backups::Make { output, keep, verify } => {
            let Some(output) = output.as_ref().or(config.backup_dir.as_ref()) else {
                return Err(Failure::misused("where to? --output PATH, or PGANALYTICS_BACKUP_DIR"));
            };
            let mut request = Request::new(folder_where_named(output, config));
            (request.keep, request.verify) = (*keep, *verify);
            let made = backup::make(&config.data_dir, &request, Timestamp::now()).map_err(Failure::new)?;
            say(&format!("made {}, {} bytes\n", made.file.display(), made.bytes));
            if let Some(checked) = made.checked {
                say(&format!("read all of it: {}\n", amount(checked)));
            }
            for path in made.removed {
                say(&format!("removed {}\n", path.display()));
            }
        }
        Backups::Check { file } => {
            let (manifest, checked) = backup::check(file).map_err(|error| of(file, &error))?;
            say(&format!("{} is whole: {}, {}\n", file.display(), origin(&manifest), amount(checked)));
        }
        Backups::Restore { file, replace } => {
            let folder = &config.data_dir;
            let restored =
                backup::restore(file, folder, *replace, Timestamp::now()).map_err(|error| of(file, &error))?;
            say(&format!(
                "restored into {}: {}, {}\n",
                folder.display(),
                origin(&restored.manifest),
                amount(restored.checked)
            ));
            if let Some(before) = restored.before {
                say(&format!("what was there is in {}; remove it when all is well\n", before.display()));
            }
        }
    }
    Ok(())
}

/// The folder of the settings is one, though it may not be there yet.
fn folder_where_named(output: &Path, config: &Config) -> PathBuf {
    if config.backup_dir.as_deref() == Some(output) { output.join("") } else { output.to_owned() }
}

fn of(file: &Path, error: &BackupError) -> Failure {
    Failure::new(format!("{}: {error}", file.display()))
}

fn origin(manifest: &Manifest) -> String {
    format!("made at {} by version {}", manifest.made_at, manifest.version)
}

fn amount(checked: Checked) -> String {
    format!("{} frames and blocks, {} values", checked.chunks, checked.values)
}
