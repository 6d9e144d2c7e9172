//! The suite that every store passes, yours too.
//!
//! ```no_run
//! # async fn check() -> Result<(), Box<dyn std::error::Error>> {
//! use pganalytics_store::{conformance, memory::MemoryStore, sql::EngineOptions};
//! conformance::run(|| async { MemoryStore::new(EngineOptions::default()) }).await?;
//! conformance::run_meta(|| async { MemoryStore::new(EngineOptions::default()) }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Each property gets a fresh, empty store. A property that does not hold ends
//! the run with a [`ConformanceFailure`] that names it; nothing panics.
//!
//! | part | promises |
//! |---|---|
//! | `delivery` | each frame is stored once, whatever is repeated, reordered or sent at once |
//! | `twins` | a stream that two send is found out; what has no numbers is stored once for each key |
//! | `reading` | readers get their tenant's chunks, all of them, in order |
//! | `maintenance` | compaction changes no answer; retention drops only what is due |
//! | `quotas` | a collector stops at what it may have; a source belongs to one collector |
//! | `people` | users, tokens, collectors, settings |
//! | `sessions` | refresh tokens: each is spent once, and nothing outlives a log-out |
//! | `documents` | notes, preferences and saved queries: found by their time, changed by their owner only |
//! | `cancelled` | calls that nobody waits for any more have wholly happened, or not at all |
//! | `answers` | SQL over a small data set, before and after compaction; what is known and not sent is an empty table |

mod alternating;
mod answers;
mod cancelled;
mod delivery;
mod documents;
mod fixture;
mod maintenance;
mod people;
mod quotas;
mod reading;
mod sessions;
mod timeline;
mod twins;

use std::{fmt, future::Future, sync::Arc};

use self::alternating::Alternating;
use crate::{ChunkSource, MetaStore, MetricStore, StoreError};

/// A property that a store does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store breaks \"{property}\": {why}")]
pub struct ConformanceFailure {
    /// The promise that is broken.
    pub property: &'static str,
    /// What was seen.
    pub why: String,
}

/// A store of metrics that can be put to the test.
pub trait Candidate: MetricStore + ChunkSource + 'static {}
impl<S: MetricStore + ChunkSource + 'static> Candidate for S {}

type Check = Result<(), ConformanceFailure>;

/// Checks each property on a store of its own.
macro_rules! check {
    ($make:expr; $($part:ident::$property:ident),* $(,)?) => {
        $({
            let made = $make().await;
            let store = made.map_err(|error| failure("a store can be made", &error))?;
            tracing::debug!(part = stringify!($part), property = stringify!($property), "checking");
            Box::pin($part::$property(Arc::new(store))).await?;
        })*
    };
}

/// Checks all properties of stores of metadata, each on a store of its own that `make`
/// makes. Stores must be empty.
///
/// # Errors
/// The first property that does not hold.
pub async fn run_meta<S, F>(make: impl Fn() -> F) -> Result<(), ConformanceFailure>
where
    S: MetaStore + 'static,
    F: Future<Output = Result<S, StoreError>>,
{
    check![make;
        people::usernames_are_unique,
        people::there_is_one_first_user,
        sessions::a_refresh_token_is_spent_once,
        sessions::thieves_at_once_get_one_session_and_lose_it,
        sessions::a_log_out_beats_a_refresh_at_the_same_moment,
        sessions::sessions_end_at_once,
        sessions::ended_sessions_are_dropped_and_no_others,
        people::api_tokens_belong_to_their_tenant,
        people::collectors_are_kept,
        people::there_are_no_more_collectors_than_allowed,
        people::a_collector_is_registered_with_its_token_or_not_at_all,
        people::a_removed_collector_takes_its_tokens_along,
        people::a_setting_is_made_once,
        people::a_setting_is_changed_by_one,
        documents::documents_are_found_by_their_time,
        documents::a_document_stays_its_owners,
    ];
    Ok(())
}

/// Checks all properties of stores of metrics, each on a store of its own that `make`
/// makes. Stores must be empty.
///
/// # Errors
/// The first property that does not hold.
pub async fn run<S, F>(make: impl Fn() -> F) -> Result<(), ConformanceFailure>
where
    S: Candidate,
    F: Future<Output = Result<S, StoreError>>,
{
    check![make;
        delivery::a_frame_is_stored_once_however_often_it_comes,
        delivery::a_gap_is_kept_once_and_told_to_its_tenant,
        delivery::order_of_arrival_does_not_matter,
        delivery::streams_are_apart,
        delivery::senders_at_once_store_each_frame_once,
        delivery::a_rejected_frame_leaves_its_neighbours_alone,
        twins::the_same_number_with_another_content_is_a_fork,
        twins::an_opening_goes_on_only_up_to_its_successor,
        twins::unnumbered_frames_are_stored_once_for_each_key,
        reading::tenants_do_not_see_each_other,
        reading::bytes_come_back_as_they_came,
        reading::chunks_are_whole_and_in_order_while_others_write,
        reading::hints_never_hide_what_was_asked_for,
        reading::summaries_say_what_is_there,
        reading::schemas_grow_and_stay_readable,
        quotas::a_collector_stops_at_its_quota_and_what_it_has_goes_on,
        quotas::retention_frees_what_nothing_hangs_on,
        quotas::streams_and_gaps_are_counted_too,
        quotas::an_instance_belongs_to_who_spoke_of_it_first,
        quotas::an_instance_is_handed_over,
        maintenance::retention_drops_only_what_is_due,
        maintenance::what_was_dropped_is_not_taken_again,
        maintenance::compaction_loses_nothing_while_others_write,
        cancelled::an_append_that_is_given_up_is_stored_whole_or_not_at_all,
        cancelled::a_job_that_is_given_up_loses_nothing,
        answers::sql_sees_what_was_appended,
        answers::what_is_known_and_not_sent_is_empty,
    ];
    let pair = || async {
        let made = async { Ok::<_, StoreError>((make().await?, make().await?)) }.await;
        made.map_err(|error| failure("a store can be made", &error))
    };
    let (store, other) = pair().await?;
    Box::pin(maintenance::compaction_changes_no_answer(Arc::new(store), Arc::new(other))).await
}

/// Checks all properties of stores of metrics on two handles of the same store, as two
/// servers have them: each call goes to the other one than the call before.
///
/// # Errors
/// The first property that does not hold.
pub async fn run_on_two<S, F>(make: impl Fn() -> F) -> Result<(), ConformanceFailure>
where
    S: Candidate,
    F: Future<Output = Result<[S; 2], StoreError>>,
{
    Box::pin(run(|| async { make().await.map(Alternating::new) })).await
}

/// Checks all properties of stores of metadata on two handles of the same store.
///
/// # Errors
/// The first property that does not hold.
pub async fn run_meta_on_two<S, F>(make: impl Fn() -> F) -> Result<(), ConformanceFailure>
where
    S: MetaStore + 'static,
    F: Future<Output = Result<[S; 2], StoreError>>,
{
    Box::pin(run_meta(|| async { make().await.map(Alternating::new) })).await
}

fn failure(property: &'static str, why: impl fmt::Display) -> ConformanceFailure {
    ConformanceFailure { property, why: why.to_string() }
}

/// The promise that is being checked; turns what is seen into failures.
#[derive(Debug, Clone, Copy)]
struct Property(&'static str);

impl Property {
    /// What must not fail.
    fn ok<T, E: fmt::Display>(self, result: Result<T, E>) -> Result<T, ConformanceFailure> {
        result.map_err(|error| failure(self.0, error))
    }

    /// What must be so.
    fn holds(self, so: bool, why: impl FnOnce() -> String) -> Check {
        if so { Ok(()) } else { Err(failure(self.0, why())) }
    }

    /// What must be equal.
    fn equal<T: PartialEq + fmt::Debug>(self, what: &str, found: &T, expected: &T) -> Check {
        self.holds(found == expected, || format!("{what}: found {found:?}, expected {expected:?}"))
    }
}
