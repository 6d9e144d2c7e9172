//! No two families of the whole catalog clash.

use std::collections::BTreeMap;

use crate::fixture::{self, newest};

#[tokio::test(flavor = "multi_thread")]
async fn no_two_families_clash() {
    let Some(cluster) = newest().await else { return };
    cluster.sql("postgres", "create table t (a int primary key)").await.unwrap();
    let url = cluster.monitor_url("postgres");
    // The parser refuses a family that begins twice, and a series that stands twice.
    let mut types = BTreeMap::new();
    for (native, drop_in) in [(true, true), (true, false), (false, true)] {
        let running = fixture::start(&[("main", &url)], |settings| {
            settings.native = native;
            settings.drop_in = drop_in;
        })
        .await;
        for (name, family) in running.page("/metrics").await {
            let labels: Vec<String> = family.samples[0].1.keys().cloned().collect();
            if native && drop_in {
                types.insert(name, (family.kind, labels));
            } else if let Some(beside_ours) = types.get(&name).filter(|_| drop_in) {
                // The drop-in names stay as they are beside ours. Some come and go, as idle sessions.
                assert_eq!(*beside_ours, (family.kind, labels), "{name}");
            }
        }
    }
}
