//! What the advice promises, row by row and for any input.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

const GUIDE: &str = include_str!("testdata/guide.tsv");
const NEWER: &str = include_str!("testdata/newer.tsv");

/// Compares each row of a table with the advice for its inputs; returns how many there were.
fn compare(table: &str, profile: Profile, keys: usize) -> usize {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let mut rows = 0;
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let mut inputs = Inputs::new(cells[0].parse().unwrap(), cells[1].parse().unwrap());
        inputs.profile = profile;
        if keys == 4 {
            inputs.workload = cells[2].parse().unwrap();
            inputs.storage = cells[3].parse().unwrap();
        }
        let settings = advise(&inputs).unwrap();
        for (name, expected) in names.iter().zip(&cells).skip(keys) {
            let setting = settings.iter().find(|setting| setting.name == *name).unwrap();
            assert_eq!(&setting.text(), expected, "{name} of {line}");
        }
        rows += 1;
    }
    rows
}

#[test]
fn every_row_of_the_guide_is_met() {
    assert_eq!(compare(GUIDE, Profile::Guide, 2), 120);
}

#[test]
fn every_row_of_the_newer_rules_is_met() {
    assert_eq!(compare(NEWER, Profile::Newer, 4), 384);
}

#[test]
fn the_log_line_of_the_guide_is_met_byte_for_byte() {
    let mut inputs = Inputs::new(2048, 4);
    inputs.memory_source = MemorySource::CgroupV2;
    inputs.cpu_source = CpuSource::Nproc;
    let line = log_line(&inputs, &advise(&inputs).unwrap());
    assert_eq!(
        line,
        "[POSTGRES] [AUTO-CONFIG] RAM: 2048MB (cgroup-v2), CPU: 4 cores (nproc) → shared_buffers=512MB, \
         effective_cache_size=1536MB, maintenance_work_mem=64MB, work_mem=4MB, max_connections=120, \
         max_worker_processes=8, max_parallel_workers=4, max_parallel_workers_per_gather=2"
    );
    inputs.profile = Profile::Newer;
    let line = log_line(&inputs, &advise(&inputs).unwrap());
    assert_eq!(
        line,
        "[POSTGRES] [AUTO-CONFIG] RAM: 2048MB (cgroup-v2), CPU: 4 cores (nproc), Workload: mixed, Storage: ssd → \
         shared_buffers=512MB, effective_cache_size=1024MB, maintenance_work_mem=128MB, work_mem=1MB, \
         max_connections=84, wal_buffers=16MB, checkpoint_completion_target=0.9, min_wal_size=1024MB, \
         max_wal_size=4096MB, random_page_cost=1.1, default_statistics_target=100, io_workers=1, wal_level=logical"
    );
}

#[test]
fn memory_is_decimal_megabytes_and_nothing_else() {
    assert_eq!(parse_memory("08192"), Ok(8192));
    assert_eq!(parse_memory(" 1048576\n"), Ok(1_048_576));
    for wrong in ["5GB", "", "-1", "2048.0", "0x10", "٣", "0"] {
        let message = parse_memory(wrong).unwrap_err().to_string();
        assert!(message.contains("whole megabytes without a unit"), "{wrong}: {message}");
    }
    for large in ["1048577", "99999999999999999999999"] {
        assert!(matches!(parse_memory(large), Err(AdviseError::TooMuchMemory(_))), "{large}");
    }
}

#[test]
fn too_little_memory_and_unknown_versions_are_refused() {
    assert_eq!(advise(&Inputs::new(511, 1)), Err(AdviseError::TooLittleMemory(511)));
    assert_eq!(advise(&Inputs::new(u64::MAX, 1)), Err(AdviseError::TooMuchMemory(u64::MAX)));
    for version in [13, 19] {
        let inputs = Inputs { postgres: version, ..Inputs::new(2048, 1) };
        assert_eq!(advise(&inputs), Err(AdviseError::Version(version)));
    }
    assert_eq!(
        "OLAP".parse::<Workload>().unwrap_err().to_string(),
        "workload \"OLAP\" is unknown; give one of web, oltp, dw, mixed"
    );
    assert_eq!("OLTP".parse::<Workload>(), Ok(Workload::Oltp));
}

#[test]
fn settings_of_later_versions_are_left_out() {
    for (version, expected) in [(17, false), (18, true)] {
        let inputs = Inputs { profile: Profile::Newer, postgres: version, ..Inputs::new(2048, 4) };
        let settings = advise(&inputs).unwrap();
        assert_eq!(settings.iter().any(|setting| setting.name == "io_workers"), expected);
    }
}

#[test]
fn a_small_standby_has_at_least_the_limits_of_its_primary() {
    let primary = PrimaryLimits {
        max_connections: 200,
        max_worker_processes: 4,
        max_wal_senders: 10,
        max_prepared_transactions: 0,
        max_locks_per_transaction: 64,
    };
    let settings = advise(&Inputs { primary: Some(primary), ..Inputs::new(512, 4) }).unwrap();
    let get = |name| number(&settings, name).unwrap();
    assert_eq!(get("max_connections"), 200);
    assert_eq!(get("max_worker_processes"), 8, "its own is higher and stays");
    assert_eq!(get("max_wal_senders"), 10);
    assert_eq!(get("max_prepared_transactions"), 0);
    assert_eq!(get("max_locks_per_transaction"), 64);
}

#[test]
fn doubtful_values_carry_a_note() {
    let note = |inputs: &Inputs, name: &str| {
        let settings = advise(inputs).unwrap();
        settings.into_iter().find(|setting| setting.name == name).unwrap().note
    };
    assert!(note(&Inputs::new(512, 1), "work_mem").unwrap().contains("4MB"));
    assert_eq!(note(&Inputs::new(8192, 4), "work_mem"), None);
    assert!(note(&Inputs::new(8192, 128), "max_parallel_workers").unwrap().contains("64"));
    let dw = Inputs { profile: Profile::Newer, workload: Workload::Mixed, ..Inputs::new(32768, 4) };
    assert_eq!(note(&dw, "max_connections"), None);
}

proptest! {
    #[test]
    fn any_input_gives_settings_that_fit_or_an_error(memory: u64, cpus: u64, small in 0..2_000_000u64) {
        for memory in [memory, small] {
            for profile in [Profile::Guide, Profile::Newer] {
                for workload in [Workload::Web, Workload::Oltp, Workload::Dw, Workload::Mixed] {
                    let inputs = Inputs { profile, workload, ..Inputs::new(memory, cpus) };
                    let Ok(settings) = advise(&inputs) else {
                        prop_assert!(!(MIN_MEMORY_MB..=MAX_MEMORY_MB).contains(&memory));
                        continue;
                    };
                    let get = |name| number(&settings, name).unwrap();
                    prop_assert!(get("shared_buffers") < memory);
                    prop_assert!(get("effective_cache_size") <= memory);
                    prop_assert!(get("work_mem") >= 1);
                    prop_assert!(get("max_worker_processes") <= 64);
                }
            }
        }
    }
}
