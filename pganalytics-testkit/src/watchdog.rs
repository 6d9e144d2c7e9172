//! Cleans up after a process that could not do it itself.
//!
//! A shell reads from a pipe that only this process can write to. When this process dies, however
//! it dies, the kernel closes the pipe: the shell then stops the server that it was last told of
//! and removes its folder. An orderly end is announced by the line `done`.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::user::Account;

const SCRIPT: &str = r#"
pid=0
while read -r line; do pid=$line; done
[ "$pid" = done ] && exit 0
if [ "$pid" != 0 ]; then
    kill -"$2" "$pid"
    tries=0
    while kill -0 "$pid" && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -KILL "$pid"
fi
rm -rf "$1"
"#;

#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// `signal` is what stops the server at once, in the words of `kill`.
    pub(crate) fn start(folder: &Path, signal: &str, account: Account) -> anyhow::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "pganalytics-watchdog"])
            .arg(folder)
            .arg(signal)
            .current_dir("/")
            .stdin(Stdio::piped())
            // Whoever reads the output of a test run must not have to wait for the watchdog.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal goes to the whole process group of the tests.
            .process_group(0);
        account.run(&mut command);
        Ok(Self(command.spawn().context("start the watchdog /bin/sh")?))
    }

    /// From now on this process is the one to stop; 0 for none.
    pub(crate) fn follow(&mut self, pid: u32) {
        self.say(&pid.to_string());
    }

    /// Everything is cleaned up; the watchdog leaves.
    pub(crate) fn dismiss(&mut self) {
        self.say("done");
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }

    fn say(&mut self, line: &str) {
        if let Some(pipe) = &mut self.0.stdin {
            // A dead watchdog guards nothing, but the tests themselves don't suffer.
            let _ = pipe.write_all(format!("{line}\n").as_bytes());
        }
    }
}
