//! Rules that look at memory and processors only.

use super::{Context, Inputs, Setting};

pub(super) fn settings(inputs: &Inputs) -> Vec<Setting> {
    let (memory, cpus) = (inputs.memory_mb, inputs.counted_cpus());
    let buffers = shared_buffers(memory);
    let connections = match memory {
        0..1024 => 80,
        1024..4096 => 120,
        _ => 200,
    };
    vec![
        Setting::megabytes(
            "shared_buffers",
            buffers,
            Context::Postmaster,
            "25 % of memory up to 8 GB, 20 % up to 32 GB, else 15 %; 64MB to 32GB",
        ),
        Setting::megabytes(
            "effective_cache_size",
            (memory - buffers).max(2 * buffers),
            Context::User,
            "memory without shared_buffers",
        ),
        Setting::megabytes(
            "maintenance_work_mem",
            (memory / 32).clamp(32, 2048),
            Context::User,
            "memory / 32; 32MB to 2GB",
        ),
        Setting::megabytes(
            "work_mem",
            (memory / (4 * connections)).clamp(1, 32),
            Context::User,
            "memory / (4 × max_connections); 1MB to 32MB",
        ),
        Setting::new("max_connections", connections, Context::Postmaster, "80 below 1 GB, 120 below 4 GB, else 200"),
        Setting::new("max_worker_processes", (2 * cpus).min(64), Context::Postmaster, "2 × processors, at most 64"),
        Setting::new("max_parallel_workers", cpus, Context::User, "processors"),
        Setting::new("max_parallel_workers_per_gather", (cpus / 2).max(1), Context::User, "half the processors"),
    ]
}

/// MB; both profiles share it.
pub(super) fn shared_buffers(memory: u64) -> u64 {
    let share = match memory {
        0..=8192 => 25,
        8193..=32768 => 20,
        _ => 15,
    };
    (memory * share / 100).clamp(64, 32768)
}
