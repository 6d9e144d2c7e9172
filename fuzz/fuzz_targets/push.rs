//! Any body of a push is taken apart or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pganalytics_core::frame::{PushBody, PushLimits, encode_push};

fuzz_target!(|data: &[u8]| {
    let limits = PushLimits::default();
    if let Ok(push) = PushBody::parse(data.to_vec().into(), &limits) {
        assert_eq!(encode_push(push.stream, &push.frames), data);
    }
});
