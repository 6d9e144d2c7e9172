//! Rules that look at workload and storage too.

use super::{Context, Inputs, Setting, Storage, Workload, guide::shared_buffers};

/// Settings of the log line, in its order.
pub(super) const LOGGED: [&str; 13] = [
    "shared_buffers",
    "effective_cache_size",
    "maintenance_work_mem",
    "work_mem",
    "max_connections",
    "wal_buffers",
    "checkpoint_completion_target",
    "min_wal_size",
    "max_wal_size",
    "random_page_cost",
    "default_statistics_target",
    "io_workers",
    "wal_level",
];

pub(super) fn settings(inputs: &Inputs) -> Vec<Setting> {
    let mut settings = memory(inputs);
    settings.extend(wal_and_storage(inputs));
    settings.extend(workers(inputs.counted_cpus()));
    settings
}

fn memory(inputs: &Inputs) -> Vec<Setting> {
    let memory = inputs.memory_mb;
    let buffers = shared_buffers(memory);
    let left = memory.saturating_sub(buffers + (memory / 5).max(512));
    let connections = connections(inputs);
    let for_work = memory.saturating_sub(buffers + 10 * connections + 512).max(256);
    let maintenance_share = if inputs.workload == Workload::Dw { 8 } else { 16 };
    vec![
        Setting::megabytes(
            "shared_buffers",
            buffers,
            Context::Postmaster,
            "25 % of memory up to 8 GB, 20 % up to 32 GB, else 15 %; 64MB to 32GB",
        ),
        Setting::megabytes(
            "effective_cache_size",
            (left * 70 / 100).max(2 * buffers),
            Context::User,
            "70 % of what shared_buffers and the system (20 %, at least 512MB) leave; at least 2 × shared_buffers",
        ),
        Setting::megabytes(
            "maintenance_work_mem",
            (memory / maintenance_share).clamp(32, 2048),
            Context::User,
            "memory / 16, of a warehouse / 8; 32MB to 2GB",
        ),
        Setting::megabytes(
            "work_mem",
            (for_work / (4 * connections)).clamp(1, work_mem_cap(inputs)),
            Context::User,
            "what shared_buffers, 10MB a connection and the system leave / (4 × max_connections)",
        ),
        Setting::new(
            "max_connections",
            connections,
            Context::Postmaster,
            "web 200, oltp 300, dw 100, mixed 120; less below 8 GB",
        ),
    ]
}

fn connections(inputs: &Inputs) -> u64 {
    let base = match inputs.workload {
        Workload::Web => 200,
        Workload::Oltp => 300,
        Workload::Dw => 100,
        Workload::Mixed => 120,
    };
    let share = match inputs.memory_mb {
        0..2048 => 50,
        2048..4096 => 70,
        4096..8192 => 85,
        _ => 100,
    };
    (base * share / 100).max(20)
}

fn work_mem_cap(inputs: &Inputs) -> u64 {
    match (inputs.workload, inputs.memory_mb) {
        (Workload::Web | Workload::Oltp, _) | (_, 0..2048) => 32,
        (_, 2048..8192) => 64,
        (_, 8192..32768) => 128,
        _ => 256,
    }
}

fn wal_and_storage(inputs: &Inputs) -> Vec<Setting> {
    let (min_wal, max_wal) = match inputs.workload {
        Workload::Web | Workload::Mixed => (1024, 4096),
        Workload::Oltp => (2048, 8192),
        Workload::Dw => (4096, 16384),
    };
    let (page_cost, io, maintenance_io) = match inputs.storage {
        Storage::Ssd => ("1.1", 200, 20),
        Storage::San => ("1.1", 300, 20),
        Storage::Hdd => ("4.0", 2, 10),
    };
    // 15 is rounded to what the server would make of it: a whole segment.
    let wal_buffers = match (shared_buffers(inputs.memory_mb) * 3 / 100).clamp(1, 16) {
        15 => 16,
        size => size,
    };
    let target = if inputs.workload == Workload::Dw { 500 } else { 100 };
    let mut settings = vec![
        Setting::megabytes("wal_buffers", wal_buffers, Context::Postmaster, "3 % of shared_buffers; 1MB to 16MB"),
        Setting::new("checkpoint_completion_target", "0.9", Context::Sighup, "writes spread over the interval"),
        Setting::megabytes("min_wal_size", min_wal, Context::Sighup, "by workload"),
        Setting::megabytes("max_wal_size", max_wal, Context::Sighup, "by workload"),
        Setting::new("random_page_cost", page_cost, Context::User, "by storage"),
        Setting::new("default_statistics_target", target, Context::User, "500 for a warehouse"),
        Setting::new("effective_io_concurrency", io, Context::User, "by storage"),
        Setting::new("maintenance_io_concurrency", maintenance_io, Context::User, "by storage"),
    ];
    if inputs.postgres >= 18 {
        let workers = (inputs.counted_cpus() / 4).clamp(1, 64);
        settings.push(Setting::new("io_workers", workers, Context::Sighup, "a quarter of the processors"));
    }
    settings.push(Setting::new("wal_level", "logical", Context::Postmaster, "logical replication can be had"));
    settings
}

fn workers(cpus: u64) -> [Setting; 4] {
    let workers = if cpus <= 4 { cpus + 1 } else { cpus + cpus / 2 };
    let (gather, maintenance) = if cpus >= 4 { (cpus / 2, (cpus / 2).min(4)) } else { (1, 1) };
    [
        Setting::new("max_worker_processes", workers.clamp(8, 64), Context::Postmaster, "1.5 × processors; 8 to 64"),
        Setting::new("max_parallel_workers", cpus, Context::User, "processors"),
        Setting::new("max_parallel_workers_per_gather", gather, Context::User, "half the processors"),
        Setting::new("max_parallel_maintenance_workers", maintenance, Context::User, "half the processors, at most 4"),
    ]
}
