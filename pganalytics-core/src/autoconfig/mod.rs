//! Settings of a PostgreSQL server from the memory and processors that it has.
//!
//! [`advise`] is a pure function of [`Inputs`]. It looks at nothing and changes nothing;
//! who calls it finds out what the machine has, and decides what becomes of the advice.
//!
//! * All arithmetic is in whole megabytes and truncates.
//! * A profile has tiers, and values drop at their edges: with more memory
//!   `shared_buffers` may be smaller (8192 MB → 2048 MB, 8193 MB → 1638 MB).
//! * A standby refuses to start with lower limits than its primary, so the advice for
//!   one is never below [`Inputs::primary`].

mod guide;
mod newer;
#[cfg(test)]
mod tests;

use std::{fmt, fmt::Write, str::FromStr};

/// Least memory that advice can be given for, MB.
pub const MIN_MEMORY_MB: u64 = 512;
/// Most memory that advice can be given for, MB.
pub const MAX_MEMORY_MB: u64 = 1_048_576;
/// Most processors that count.
pub const MAX_CPUS: u64 = 128;

/// A closed list of words that people type: its variants, how each is written, and an error that
/// lists them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// The word for it, in lower case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = AdviseError;

            fn from_str(text: &str) -> Result<Self, AdviseError> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(AdviseError::Unknown {
                        what: $what,
                        given: text.chars().take(40).collect(),
                        allowed: [$($word),+].join(", "),
                    }),
                }
            }
        }
    };
}

words! {
    /// Which set of rules.
    Profile, "profile" {
        /// Memory and processors only.
        Guide = "guide",
        /// Workload and storage too.
        Newer = "newer",
    }
}
words! {
    /// What the server is mostly used for. Only [`Profile::Newer`] looks at it.
    Workload, "workload" {
        /// Many short reads.
        Web = "web",
        /// Many short transactions.
        Oltp = "oltp",
        /// Few large queries.
        Dw = "dw",
        /// Some of each.
        Mixed = "mixed",
    }
}
words! {
    /// What the data lies on. Only [`Profile::Newer`] looks at it.
    Storage, "storage" {
        /// Flash.
        Ssd = "ssd",
        /// A storage network.
        San = "san",
        /// Turning disks.
        Hdd = "hdd",
    }
}
words! {
    /// Where the figure for the memory comes from.
    MemorySource, "memory source" {
        /// A person said so.
        Manual = "manual",
        /// Limit of a control group, version 2.
        CgroupV2 = "cgroup-v2",
        /// Limit of a control group, version 1.
        CgroupV1 = "cgroup-v1",
        /// All memory of the machine.
        Meminfo = "meminfo",
        /// Nothing could be read.
        Default = "default",
    }
}
words! {
    /// Where the number of processors comes from.
    CpuSource, "processor source" {
        /// A person said so.
        Manual = "manual",
        /// Quota of a control group, version 2.
        CgroupV2 = "cgroup-v2",
        /// Quota of a control group, version 1.
        CgroupV1 = "cgroup-v1",
        /// Processors that the process may run on.
        Nproc = "nproc",
    }
}

/// Limits of a primary that its standbys must not go below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrimaryLimits {
    /// `max_connections`.
    pub max_connections: u64,
    /// `max_worker_processes`.
    pub max_worker_processes: u64,
    /// `max_wal_senders`.
    pub max_wal_senders: u64,
    /// `max_prepared_transactions`.
    pub max_prepared_transactions: u64,
    /// `max_locks_per_transaction`.
    pub max_locks_per_transaction: u64,
}

/// What advice is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// Which rules.
    pub profile: Profile,
    /// Memory that the server may use, MB.
    pub memory_mb: u64,
    /// Where that figure comes from.
    pub memory_source: MemorySource,
    /// Processors that the server may use; more than [`MAX_CPUS`] count as that many, 0 as 1.
    pub cpus: u64,
    /// Where that number comes from.
    pub cpu_source: CpuSource,
    /// What the server is used for.
    pub workload: Workload,
    /// What the data lies on.
    pub storage: Storage,
    /// Major version of PostgreSQL; settings that it does not know are left out.
    pub postgres: u32,
    /// Limits of the primary, where the server is a standby.
    pub primary: Option<PrimaryLimits>,
}

impl Inputs {
    /// A primary of PostgreSQL 18 with mixed work on flash, under [`Profile::Guide`].
    #[must_use]
    pub fn new(memory_mb: u64, cpus: u64) -> Self {
        Self {
            profile: Profile::Guide,
            memory_mb,
            memory_source: MemorySource::Manual,
            cpus,
            cpu_source: CpuSource::Manual,
            workload: Workload::Mixed,
            storage: Storage::Ssd,
            postgres: 18,
            primary: None,
        }
    }

    fn counted_cpus(&self) -> u64 {
        self.cpus.clamp(1, MAX_CPUS)
    }
}

words! {
    /// When a changed setting holds.
    Context, "context" {
        /// After a restart.
        Postmaster = "postmaster",
        /// After a reload.
        Sighup = "sighup",
        /// In the next session.
        User = "user",
    }
}

/// One setting of the advice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// PostgreSQL's name of the setting.
    pub name: &'static str,
    /// The value without its unit.
    pub value: String,
    /// `MB`, or nothing.
    pub unit: &'static str,
    /// When a change holds.
    pub context: Context,
    /// How the value was found.
    pub rule: String,
    /// Why the value may be doubted.
    pub note: Option<String>,
}

impl Setting {
    fn new(name: &'static str, value: impl fmt::Display, context: Context, rule: impl Into<String>) -> Self {
        Self { name, value: value.to_string(), unit: "", context, rule: rule.into(), note: None }
    }

    fn megabytes(name: &'static str, value: u64, context: Context, rule: impl Into<String>) -> Self {
        Self { unit: "MB", ..Self::new(name, value, context, rule) }
    }

    /// Value with unit, as PostgreSQL reads it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.value, self.unit)
    }
}

/// Why no advice can be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdviseError {
    /// Too little memory.
    #[error("{0} MB of memory is too little: PostgreSQL needs at least {MIN_MEMORY_MB} MB; raise the memory limit")]
    TooLittleMemory(u64),
    /// Memory that cannot be meant.
    #[error("memory of {0} MB is out of range; give whole megabytes from {MIN_MEMORY_MB} to {MAX_MEMORY_MB}")]
    TooMuchMemory(u64),
    /// Not a number of megabytes.
    #[error("memory {0:?} is not a number; give whole megabytes without a unit, as 2048")]
    BadMemory(String),
    /// A word that is in no list.
    #[error("{what} {given:?} is unknown; give one of {allowed}")]
    Unknown {
        /// What the word is for.
        what: &'static str,
        /// The word, cut to 40 characters.
        given: String,
        /// The words that are known.
        allowed: String,
    },
    /// A version that is not supported.
    #[error("PostgreSQL {0} is not supported; give 14 to 18")]
    Version(u32),
}

/// Memory as people write it into `POSTGRES_MEMORY`: decimal megabytes, leading zeros
/// without a meaning, no unit.
///
/// # Errors
/// Anything else, and 0 or more than [`MAX_MEMORY_MB`].
pub fn parse_memory(text: &str) -> Result<u64, AdviseError> {
    let digits = text.trim();
    let bad = || AdviseError::BadMemory(text.chars().take(40).collect());
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    // Only digits: what does not fit is too much, not malformed.
    let memory = digits.parse().unwrap_or(u64::MAX);
    match memory {
        0 => Err(bad()),
        1..=MAX_MEMORY_MB => Ok(memory),
        _ => Err(AdviseError::TooMuchMemory(memory)),
    }
}

/// Settings for a server, in the order in which they are printed.
///
/// # Errors
/// Memory below [`MIN_MEMORY_MB`] or above [`MAX_MEMORY_MB`]; a version outside 14-18.
pub fn advise(inputs: &Inputs) -> Result<Vec<Setting>, AdviseError> {
    match inputs.memory_mb {
        0..MIN_MEMORY_MB => return Err(AdviseError::TooLittleMemory(inputs.memory_mb)),
        MIN_MEMORY_MB..=MAX_MEMORY_MB => {}
        _ => return Err(AdviseError::TooMuchMemory(inputs.memory_mb)),
    }
    if !(14..=18).contains(&inputs.postgres) {
        return Err(AdviseError::Version(inputs.postgres));
    }
    let mut settings = match inputs.profile {
        Profile::Guide => guide::settings(inputs),
        Profile::Newer => newer::settings(inputs),
    };
    add_notes(&mut settings, inputs.memory_mb);
    if let Some(primary) = &inputs.primary {
        raise_to_primary(&mut settings, primary);
    }
    Ok(settings)
}

fn number(settings: &[Setting], name: &str) -> Option<u64> {
    settings.iter().find(|setting| setting.name == name)?.value.parse().ok()
}

fn add_notes(settings: &mut [Setting], memory_mb: u64) {
    let get = |name| number(settings, name).unwrap_or_default();
    let work_mem = get("work_mem");
    let committed = get("shared_buffers").saturating_add(get("max_connections").saturating_mul(work_mem));
    let workers = get("max_worker_processes");
    let parallel = get("max_parallel_workers");
    let mut notes = Vec::new();
    if work_mem < 4 {
        notes.push(("work_mem", String::from("below PostgreSQL's own default of 4MB: sorts spill to disk sooner")));
    }
    if committed > memory_mb {
        notes.push((
            "max_connections",
            format!("shared_buffers and one work_mem for each connection are {committed} MB, more than the memory"),
        ));
    }
    if parallel > workers {
        notes.push((
            "max_parallel_workers",
            format!("more than max_worker_processes: {workers} at most will run at once"),
        ));
    }
    for (name, note) in notes {
        if let Some(setting) = settings.iter_mut().find(|setting| setting.name == name) {
            setting.note = Some(note);
        }
    }
}

fn raise_to_primary(settings: &mut Vec<Setting>, primary: &PrimaryLimits) {
    let limits = [
        ("max_connections", primary.max_connections),
        ("max_worker_processes", primary.max_worker_processes),
        ("max_wal_senders", primary.max_wal_senders),
        ("max_prepared_transactions", primary.max_prepared_transactions),
        ("max_locks_per_transaction", primary.max_locks_per_transaction),
    ];
    for (name, limit) in limits {
        let raised = || Setting::new(name, limit, Context::Postmaster, "that of the primary");
        match settings.iter_mut().find(|setting| setting.name == name) {
            Some(own) if own.value.parse().is_ok_and(|own: u64| own >= limit) => {}
            Some(own) => {
                let note = format!("raised from {}: a standby must not be below its primary", own.value);
                *own = Setting { note: Some(note), ..raised() };
            }
            None => settings.push(raised()),
        }
    }
}

/// The line that the log of a server begins with, without a newline.
#[must_use]
pub fn log_line(inputs: &Inputs, settings: &[Setting]) -> String {
    let mut line = format!(
        "[POSTGRES] [AUTO-CONFIG] RAM: {}MB ({}), CPU: {} cores ({})",
        inputs.memory_mb,
        inputs.memory_source,
        inputs.counted_cpus(),
        inputs.cpu_source
    );
    if inputs.profile == Profile::Newer {
        let _ = write!(line, ", Workload: {}, Storage: {}", inputs.workload, inputs.storage);
    }
    line.push_str(" → ");
    let logged = |setting: &&Setting| inputs.profile == Profile::Guide || newer::LOGGED.contains(&setting.name);
    for (index, setting) in settings.iter().filter(logged).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(line, "{comma}{}={}", setting.name, setting.text());
    }
    line
}
