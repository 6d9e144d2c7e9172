//! Any catalog file is a measurement or an error that names it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pganalytics_core::catalog::Measurement;

fuzz_target!(|text: &str| {
    match Measurement::parse(text, "fuzz.toml") {
        Ok(measurement) => assert!(!measurement.schema().columns().is_empty()),
        Err(error) => assert_eq!(error.file(), "fuzz.toml"),
    }
});
