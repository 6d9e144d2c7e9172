//! Any document is batches or an error, and batches come back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pganalytics_core::{
    InstanceId, ServerId, Source, Timestamp,
    catalog::Catalog,
    json::{Defaults, JsonLimits, PushDocument, push_document},
};

fuzz_target!(|data: &[u8]| {
    let server_id = ServerId::of_cluster(1);
    let source =
        Source { server_id, instance_id: InstanceId::of_address(server_id, "a"), server: "a".into(), database: None };
    let defaults = Defaults { source, received_at: Timestamp::from_secs(1) };
    let limits = JsonLimits::default();
    let known = |name: &str| Catalog::builtin().get(name).map(|measurement| measurement.schema().clone());
    let Ok(document) = PushDocument::parse(data, &limits, &known, &defaults) else { return };
    let batches: Vec<_> = document.metrics.into_iter().filter_map(|metric| metric.batch.ok()).collect();
    let text = push_document("c", &batches);
    let again = PushDocument::parse(text.as_bytes(), &limits, &|_| None, &defaults).expect("our own document");
    for (again, batch) in again.metrics.iter().zip(&batches) {
        let again = again.batch.as_ref().expect("our own metric");
        assert_eq!((&again.schema, &again.source, &again.scrape), (&batch.schema, &batch.source, &batch.scrape));
        assert_eq!(again.rows.len(), batch.rows.len());
    }
});
