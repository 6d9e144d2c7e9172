//! Users, tokens, collectors and settings in memory.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use pganalytics_core::{CollectorId, TenantId, Timestamp};
use uuid::Uuid;

use super::MemoryStore;
use crate::{
    document_store::Document,
    error::StoreError,
    meta_store::{
        Accounts, ApiToken, ApiTokens, CollectorRecord, Enrolment, RefreshToken, Rotated, Sessions, Settings, User,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Spent,
    Revoked,
}

#[derive(Debug, Default)]
pub(super) struct Meta {
    users: HashMap<Uuid, User>,
    refresh_tokens: HashMap<[u8; 32], (RefreshToken, State)>,
    api_tokens: HashMap<Uuid, ApiToken>,
    collectors: HashMap<CollectorId, CollectorRecord>,
    settings: BTreeMap<String, Vec<u8>>,
    pub(super) documents: HashMap<Uuid, Document>,
}

impl Meta {
    fn revoke(&mut self, which: impl Fn(&RefreshToken) -> bool) {
        for (token, state) in self.refresh_tokens.values_mut() {
            if which(token) {
                *state = State::Revoked;
            }
        }
    }

    fn end_sessions(&mut self, id: Uuid, password_hash: Option<&str>) -> Result<(), StoreError> {
        let user = self.users.get_mut(&id).ok_or_else(|| no_user(id))?;
        user.version += 1;
        if let Some(hash) = password_hash {
            hash.clone_into(&mut user.password_hash);
        }
        self.revoke(|token| token.user == id);
        Ok(())
    }

    fn rotate(
        &mut self,
        old: &[u8; 32],
        new: &[u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Rotated, StoreError> {
        if self.refresh_tokens.contains_key(new) {
            return Err(StoreError::Exists { what: "refresh token", name: "the new one".to_owned() });
        }
        let (family, user) = match self.refresh_tokens.get_mut(old) {
            Some((token, State::Spent)) => {
                let family = token.family;
                self.revoke(|token| token.family == family);
                return Ok(Rotated::Reused);
            }
            Some((token, state @ State::Good)) if token.expires_at > now => {
                let Some(user) = self.users.get(&token.user) else { return Ok(Rotated::Unknown) };
                *state = State::Spent;
                (token.family, user.clone())
            }
            _ => return Ok(Rotated::Unknown),
        };
        let token = RefreshToken { hash: *new, family, user: user.id, expires_at };
        self.refresh_tokens.insert(*new, (token, State::Good));
        Ok(Rotated::Good { user, family })
    }

    /// Whether one more collector of this tenant is one too many.
    fn is_full(&self, tenant: TenantId, most: u64) -> bool {
        self.collectors.values().filter(|known| known.tenant == tenant).count() as u64 >= most
    }
}

fn no_user(id: Uuid) -> StoreError {
    StoreError::NotFound { what: "user", name: id.to_string() }
}

#[async_trait]
impl Accounts for MemoryStore {
    async fn add_user(&self, user: &User) -> Result<(), StoreError> {
        let mut meta = self.meta();
        if meta.users.values().any(|known| known.username == user.username || known.id == user.id) {
            return Err(StoreError::Exists { what: "user", name: user.username.clone() });
        }
        meta.users.insert(user.id, user.clone());
        Ok(())
    }

    async fn add_first_user(&self, user: &User) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        let first = meta.users.is_empty();
        if first {
            meta.users.insert(user.id, user.clone());
        }
        Ok(first)
    }

    async fn has_users(&self) -> Result<bool, StoreError> {
        Ok(!self.meta().users.is_empty())
    }

    async fn user_by_name(&self, username: &str) -> Result<Option<User>, StoreError> {
        Ok(self.meta().users.values().find(|user| user.username == username).cloned())
    }

    async fn user(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        Ok(self.meta().users.get(&id).cloned())
    }

    async fn set_password(&self, id: Uuid, password_hash: &str) -> Result<(), StoreError> {
        self.meta().end_sessions(id, Some(password_hash))
    }

    async fn end_sessions(&self, id: Uuid) -> Result<(), StoreError> {
        self.meta().end_sessions(id, None)
    }
}

#[async_trait]
impl Sessions for MemoryStore {
    async fn add_refresh_token(&self, token: &RefreshToken, version: i64) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        if meta.refresh_tokens.contains_key(&token.hash) {
            return Err(StoreError::Exists { what: "refresh token", name: token.family.to_string() });
        }
        let user = meta.users.get(&token.user).ok_or_else(|| no_user(token.user))?;
        if user.version != version {
            return Ok(false);
        }
        meta.refresh_tokens.insert(token.hash, (token.clone(), State::Good));
        Ok(true)
    }

    async fn rotate_refresh_token(
        &self,
        old: &[u8; 32],
        new: &[u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Rotated, StoreError> {
        self.meta().rotate(old, new, expires_at, now)
    }

    async fn revoke_family(&self, family: Uuid) -> Result<(), StoreError> {
        self.meta().revoke(|token| token.family == family);
        Ok(())
    }

    async fn drop_ended_sessions(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut meta = self.meta();
        let before = meta.refresh_tokens.len();
        meta.refresh_tokens.retain(|_, (token, _)| token.expires_at >= now);
        Ok((before - meta.refresh_tokens.len()) as u64)
    }
}

#[async_trait]
impl ApiTokens for MemoryStore {
    async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        let mut meta = self.meta();
        if meta.api_tokens.contains_key(&token.id) {
            return Err(StoreError::Exists { what: "token", name: token.id.to_string() });
        }
        meta.api_tokens.insert(token.id, token.clone());
        Ok(())
    }

    async fn api_token(&self, id: Uuid) -> Result<Option<ApiToken>, StoreError> {
        Ok(self.meta().api_tokens.get(&id).cloned())
    }

    async fn api_tokens(&self, tenant: TenantId) -> Result<Vec<ApiToken>, StoreError> {
        let mut all: Vec<_> = self.meta().api_tokens.values().filter(|token| token.tenant == tenant).cloned().collect();
        all.sort_by_key(|token| (std::cmp::Reverse(token.created_at), token.id));
        Ok(all)
    }

    async fn remove_api_token(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        let theirs = meta.api_tokens.get(&id).is_some_and(|token| token.tenant == tenant);
        if theirs {
            meta.api_tokens.remove(&id);
        }
        Ok(theirs)
    }
}

#[async_trait]
impl Enrolment for MemoryStore {
    async fn put_collector(&self, collector: &CollectorRecord, most: u64) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        if !meta.collectors.contains_key(&collector.id) && meta.is_full(collector.tenant, most) {
            return Ok(false);
        }
        let known = meta.collectors.entry(collector.id).or_insert_with(|| collector.clone());
        if known.tenant != collector.tenant {
            return Err(StoreError::Exists { what: "collector", name: collector.id.to_string() });
        }
        known.name.clone_from(&collector.name);
        known.hostname.clone_from(&collector.hostname);
        known.version.clone_from(&collector.version);
        Ok(true)
    }

    async fn register_collector(
        &self,
        collector: &CollectorRecord,
        token: &ApiToken,
        most: u64,
    ) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        if meta.collectors.contains_key(&collector.id) {
            return Err(StoreError::Exists { what: "collector", name: collector.id.to_string() });
        }
        if meta.api_tokens.contains_key(&token.id) {
            return Err(StoreError::Exists { what: "token", name: token.id.to_string() });
        }
        if meta.is_full(collector.tenant, most) {
            return Ok(false);
        }
        meta.collectors.insert(collector.id, collector.clone());
        meta.api_tokens.insert(token.id, token.clone());
        Ok(true)
    }

    async fn collector(&self, id: CollectorId) -> Result<Option<CollectorRecord>, StoreError> {
        Ok(self.meta().collectors.get(&id).cloned())
    }

    async fn collectors(
        &self,
        tenant: TenantId,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<CollectorRecord>, u64), StoreError> {
        let mut all: Vec<_> = self.meta().collectors.values().filter(|known| known.tenant == tenant).cloned().collect();
        all.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let count = all.len() as u64;
        let [offset, limit] = [offset, limit].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        Ok((all.into_iter().skip(offset).take(limit).collect(), count))
    }

    async fn touch_collector(&self, id: CollectorId, now: Timestamp) -> Result<(), StoreError> {
        if let Some(known) = self.meta().collectors.get_mut(&id) {
            known.last_seen = Some(known.last_seen.map_or(now, |seen| seen.max(now)));
        }
        Ok(())
    }

    async fn set_collector_revoked(
        &self,
        tenant: TenantId,
        id: CollectorId,
        revoked: bool,
    ) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        let Some(known) = meta.collectors.get_mut(&id).filter(|known| known.tenant == tenant) else {
            return Ok(false);
        };
        known.revoked = revoked;
        Ok(true)
    }

    async fn remove_collector(&self, tenant: TenantId, id: CollectorId) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        let theirs = meta.collectors.get(&id).is_some_and(|known| known.tenant == tenant);
        if theirs {
            meta.collectors.remove(&id);
            meta.api_tokens.retain(|_, token| token.tenant != tenant || token.collector != Some(id));
        }
        Ok(theirs)
    }
}

#[async_trait]
impl Settings for MemoryStore {
    async fn setting_or_insert(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.meta().settings.entry(name.to_owned()).or_insert_with(|| candidate.to_owned()).clone())
    }

    async fn replace_setting(&self, name: &str, expected: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let mut meta = self.meta();
        let Some(known) = meta.settings.get_mut(name).filter(|known| **known == expected) else { return Ok(false) };
        *known = value.to_owned();
        Ok(true)
    }
}
