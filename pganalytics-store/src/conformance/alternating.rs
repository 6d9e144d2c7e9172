//! Two handles of one store as one: each call goes to the other one than the call before, so
//! that whatever one of them remembers may be out of date.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use pganalytics_core::{CollectorId, StreamId, TenantId, Timestamp, frame::VerifiedFrame};
use uuid::Uuid;

use crate::{
    AppendOutcome, Chunk, ChunkSelect, ChunkSource, Document, DocumentStore, Job, JobReport, MetaStore, MetricStore,
    Origin, Owned, Pick, PushKey, Quarantined, RecordStream, SeenSource, SqlQuery, StoreError, StoredFork, StoredGap,
    StoredMeasurement, StreamAccount, Unnumbered,
    meta_store::{
        Accounts, ApiToken, ApiTokens, CollectorRecord, Enrolment, RefreshToken, Rotated, Sessions, Settings, User,
    },
    unnumbered::MakeReply,
};

/// Two handles.
pub(super) struct Alternating<S> {
    handles: [S; 2],
    calls: AtomicUsize,
}

impl<S> Alternating<S> {
    pub(super) fn new(handles: [S; 2]) -> Self {
        Self { handles, calls: AtomicUsize::new(0) }
    }

    fn next(&self) -> &S {
        let [one, other] = &self.handles;
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { one } else { other }
    }
}

/// A trait whose methods are passed on.
macro_rules! pass_on {
    ($trait:ident of $bound:ident { $(fn $name:ident($($argument:ident: $ty:ty),*) -> $output:ty;)* }) => {
        #[async_trait]
        impl<S: $bound> $trait for Alternating<S> {
            $(async fn $name(&self, $($argument: $ty),*) -> $output {
                self.next().$name($($argument),*).await
            })*
        }
    };
}

type Chunks = Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError>;

pass_on! {
    MetricStore of MetricStore {
        fn append(origin: &Origin, stream: StreamId, frames: Vec<VerifiedFrame>) -> Result<AppendOutcome, StoreError>;
        fn append_unnumbered(
            origin: &Origin, key: Option<PushKey>, frames: Vec<VerifiedFrame>, reply: MakeReply
        ) -> Result<Unnumbered, StoreError>;
        fn query(query: SqlQuery) -> Result<RecordStream, StoreError>;
        fn measurements(tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError>;
        fn sources(tenant: TenantId) -> Result<Vec<SeenSource>, StoreError>;
        fn gaps(tenant: TenantId) -> Result<Vec<StoredGap>, StoreError>;
        fn stream_accounts(tenant: TenantId) -> Result<Vec<StreamAccount>, StoreError>;
        fn forks(tenant: TenantId) -> Result<Vec<StoredFork>, StoreError>;
        fn hand_over(
            tenant: TenantId, what: Owned, to: Option<CollectorId>, now: Timestamp
        ) -> Result<u64, StoreError>;
        fn set_aside(chunk: u64) -> Result<bool, StoreError>;
        fn quarantined(tenant: TenantId) -> Result<Vec<Quarantined>, StoreError>;
        fn maintain(job: Job) -> Result<JobReport, StoreError>;
        fn failed() -> StoreError;
        fn check() -> Result<(), StoreError>;
    }
}

pass_on! {
    ChunkSource of ChunkSource {
        fn stored(tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError>;
        fn losses(tenant: TenantId) -> Result<Vec<StoredGap>, StoreError>;
        fn streams(tenant: TenantId) -> Result<(Vec<StreamAccount>, Vec<StoredFork>), StoreError>;
        fn chunks(select: ChunkSelect) -> Chunks;
        fn picked(select: ChunkSelect, pick: Arc<dyn Pick>) -> Chunks;
        fn present(select: ChunkSelect, pick: Arc<dyn Pick>) -> Chunks;
    }
}

pass_on! {
    DocumentStore of MetaStore {
        fn put_document(document: &Document, most: u64) -> Result<bool, StoreError>;
        fn document(tenant: TenantId, id: Uuid) -> Result<Option<Document>, StoreError>;
        fn documents(
            tenant: TenantId, kind: &str, during: Range<Timestamp>, limit: u64
        ) -> Result<Vec<Document>, StoreError>;
        fn remove_document(tenant: TenantId, id: Uuid) -> Result<bool, StoreError>;
    }
}

pass_on! {
    Accounts of MetaStore {
        fn add_user(user: &User) -> Result<(), StoreError>;
        fn add_first_user(user: &User) -> Result<bool, StoreError>;
        fn has_users() -> Result<bool, StoreError>;
        fn user_by_name(username: &str) -> Result<Option<User>, StoreError>;
        fn user(id: Uuid) -> Result<Option<User>, StoreError>;
        fn set_password(id: Uuid, password_hash: &str) -> Result<(), StoreError>;
        fn end_sessions(id: Uuid) -> Result<(), StoreError>;
    }
}

pass_on! {
    Sessions of MetaStore {
        fn add_refresh_token(token: &RefreshToken, version: i64) -> Result<bool, StoreError>;
        fn rotate_refresh_token(
            old: &[u8; 32], new: &[u8; 32], expires_at: Timestamp, now: Timestamp
        ) -> Result<Rotated, StoreError>;
        fn revoke_family(family: Uuid) -> Result<(), StoreError>;
        fn drop_ended_sessions(now: Timestamp) -> Result<u64, StoreError>;
    }
}

pass_on! {
    ApiTokens of MetaStore {
        fn add_api_token(token: &ApiToken) -> Result<(), StoreError>;
        fn api_token(id: Uuid) -> Result<Option<ApiToken>, StoreError>;
        fn api_tokens(tenant: TenantId) -> Result<Vec<ApiToken>, StoreError>;
        fn remove_api_token(tenant: TenantId, id: Uuid) -> Result<bool, StoreError>;
    }
}

pass_on! {
    Enrolment of MetaStore {
        fn put_collector(collector: &CollectorRecord, most: u64) -> Result<bool, StoreError>;
        fn register_collector(
            collector: &CollectorRecord, token: &ApiToken, most: u64
        ) -> Result<bool, StoreError>;
        fn collector(id: CollectorId) -> Result<Option<CollectorRecord>, StoreError>;
        fn collectors(
            tenant: TenantId, offset: u64, limit: u64
        ) -> Result<(Vec<CollectorRecord>, u64), StoreError>;
        fn touch_collector(id: CollectorId, now: Timestamp) -> Result<(), StoreError>;
        fn set_collector_revoked(tenant: TenantId, id: CollectorId, revoked: bool) -> Result<bool, StoreError>;
        fn remove_collector(tenant: TenantId, id: CollectorId) -> Result<bool, StoreError>;
    }
}

pass_on! {
    Settings of MetaStore {
        fn setting_or_insert(name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError>;
        fn replace_setting(name: &str, expected: &[u8], value: &[u8]) -> Result<bool, StoreError>;
    }
}
