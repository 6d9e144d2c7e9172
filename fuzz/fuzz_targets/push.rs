//! Any body of a push is taken apart or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pganalytics_core::frame::{PushBody, PushLimits, encode_push};

fuzz_target!(|data: &[u8]| {
    let limits = PushLimits::default();
    if let Ok(push) = PushBody::parse(data.to_vec().into(), &limits) {
        let again = encode_push(push.stream, &push.schemas, &push.frames);
        assert_eq!(PushBody::parse(again.into(), &limits), Ok(push));
    }
});
