//! Which host this is.

use std::path::Path;

use pganalytics_core::{InstanceId, ServerId, Source};

use super::foreign;

/// Who a host is: an id that stays the same, and the name that people know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// From `/etc/machine-id`, or the name where there is none.
    pub machine_id: String,
    /// The host's name.
    pub hostname: String,
}

impl HostIdentity {
    /// Reads it from the files below `root`, `/` for this host.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let read = |file: &str| {
            let text = foreign::read_text(root.join(file)).ok()?;
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let hostname = read("proc/sys/kernel/hostname").or_else(|| read("etc/hostname"));
        let hostname = hostname.unwrap_or_else(|| String::from("localhost"));
        let machine_id = read("etc/machine-id").or_else(|| read("var/lib/dbus/machine-id"));
        // systemd writes this word before the first boot is done.
        let machine_id = machine_id.filter(|id| id != "uninitialized");
        Self { machine_id: machine_id.unwrap_or_else(|| hostname.clone()), hostname }
    }

    /// The source of the host's measurements.
    #[must_use]
    pub fn source(&self) -> Source {
        let server_id = ServerId::of_host(&self.machine_id);
        Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, &self.hostname),
            server: self.hostname.as_str().into(),
            database: None,
        }
    }
}
