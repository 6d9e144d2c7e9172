//! Users, tokens, collectors, settings.

use std::sync::Arc;

use pganalytics_core::{CollectorId, TenantId, Timestamp};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    Candidate, Check, Property,
    fixture::{at, tenant},
};
use crate::{
    StoreError,
    meta_store::{ApiToken, CollectorRecord, Redeemed, RefreshToken, Role, User},
};

fn user(name: &str, role: Role) -> User {
    User {
        id: Uuid::new_v4(),
        tenant: tenant(1),
        username: name.to_owned(),
        password_hash: "$argon2id$1".to_owned(),
        role,
        version: 1,
        created_at: at(0),
    }
}

fn token(number: u8, family: Uuid, user: Uuid) -> RefreshToken {
    RefreshToken { hash: [number; 32], family, user, expires_at: at(3600) }
}

fn is_exists<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Exists { .. }))
}

fn is_not_found<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound { .. }))
}

pub(super) async fn usernames_are_unique<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a login name belongs to one user of the installation");
    let all = [Role::Viewer, Role::User, Role::Admin].map(|role| user(&format!("{role:?}"), role));
    for user in &all {
        property.ok(store.add_user(user).await)?;
        property.equal("by name", &property.ok(store.user_by_name(&user.username).await)?.as_ref(), &Some(user))?;
        property.equal("by id", &property.ok(store.user(user.id).await)?.as_ref(), &Some(user))?;
    }
    let other = User { tenant: tenant(2), ..user("Admin", Role::Viewer) };
    property.holds(is_exists(&store.add_user(&other).await), || "a second user took the name".to_owned())?;
    property.equal("the second user", &property.ok(store.user(other.id).await)?, &None)?;
    property.equal("an unknown name", &property.ok(store.user_by_name("admin' OR 1=1").await)?, &None)
}

pub(super) async fn there_is_one_first_user<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("the first user is made once, whoever asks at once");
    let mut askers = JoinSet::new();
    for number in 0..12 {
        let store = Arc::clone(&store);
        askers.spawn(async move { store.add_first_user(&user(&format!("admin{number}"), Role::Admin)).await });
    }
    let mut made = 0;
    while let Some(asker) = askers.join_next().await {
        made += usize::from(property.ok(property.ok(asker)?)?);
    }
    property.equal("first users", &made, &1)?;
    let late = property.ok(store.add_first_user(&user("late", Role::Admin)).await)?;
    property.equal("a late one", &late, &false)
}

pub(super) async fn a_refresh_token_is_spent_once<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a refresh token is spent once; a second time revokes its family");
    let owner = user("ada", Role::User);
    property.ok(store.add_user(&owner).await)?;
    let (family, other) = (Uuid::new_v4(), Uuid::new_v4());
    let tokens = [(1, family), (2, family), (3, other)].map(|(number, family)| token(number, family, owner.id));
    for token in &tokens {
        property.ok(store.add_refresh_token(token).await)?;
    }
    let [first, second, third] = &tokens;
    let redeem = |token: &RefreshToken, now: Timestamp| {
        let (store, hash) = (Arc::clone(&store), token.hash);
        async move { property.ok(store.redeem_refresh_token(&hash, now).await) }
    };
    property.equal("an unknown token", &redeem(&token(9, family, owner.id), at(0)).await?, &Redeemed::Unknown)?;
    property.equal("a good token", &redeem(first, at(0)).await?, &Redeemed::Good(first.clone()))?;
    property.equal("the same again", &redeem(first, at(0)).await?, &Redeemed::Reused)?;
    property.equal("another of its family", &redeem(second, at(0)).await?, &Redeemed::Unknown)?;
    property.equal("one that ended", &redeem(third, at(3600)).await?, &Redeemed::Unknown)?;
    let mut thieves = JoinSet::new();
    for _ in 0..8 {
        thieves.spawn(redeem(third, at(3599)));
    }
    let mut good = 0;
    while let Some(thief) = thieves.join_next().await {
        good += usize::from(matches!(property.ok(thief)??, Redeemed::Good(_)));
    }
    property.equal("successes of eight at once", &good, &1)?;
    let stray = store.add_refresh_token(&token(4, family, Uuid::new_v4())).await;
    property.holds(is_not_found(&stray), || "a token for a user that is not there was kept".to_owned())
}

pub(super) async fn sessions_end_at_once<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("ending sessions counts the version up and revokes refresh tokens");
    let (owner, other) = (user("ada", Role::User), user("bob", Role::User));
    for user in [&owner, &other] {
        property.ok(store.add_user(user).await)?;
    }
    for (number, user) in [(1, owner.id), (2, owner.id), (3, owner.id), (4, other.id)] {
        property.ok(store.add_refresh_token(&token(number, Uuid::from_u128(number.into()), user)).await)?;
    }
    property.ok(store.revoke_family(Uuid::from_u128(1)).await)?;
    let spend = |number: u8| {
        let store = Arc::clone(&store);
        async move { property.ok(store.redeem_refresh_token(&[number; 32], at(0)).await) }
    };
    property.equal("a revoked family", &spend(1).await?, &Redeemed::Unknown)?;
    property.holds(matches!(spend(2).await?, Redeemed::Good(_)), || "a login ended with another".to_owned())?;
    property.ok(store.set_password(owner.id, "$argon2id$2").await)?;
    property.equal("after a new password", &spend(3).await?, &Redeemed::Unknown)?;
    property.ok(store.end_sessions(owner.id).await)?;
    let now = property.ok(store.user(owner.id).await)?;
    let expected = User { version: owner.version + 2, password_hash: "$argon2id$2".to_owned(), ..owner };
    property.equal("the user", &now, &Some(expected))?;
    property.holds(matches!(spend(4).await?, Redeemed::Good(_)), || "another user's login ended".to_owned())?;
    let nobody = store.end_sessions(Uuid::new_v4()).await.and(store.set_password(Uuid::new_v4(), "x").await);
    property.holds(is_not_found(&nobody), || "sessions of nobody were ended".to_owned())
}

pub(super) async fn api_tokens_belong_to_their_tenant<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("API tokens belong to their tenant");
    let token = |owner: u128, seconds: i64| ApiToken {
        id: Uuid::new_v4(),
        hash: [7; 32],
        tenant: tenant(owner),
        name: "ci \"token\"".to_owned(),
        collector: (seconds % 2 == 0).then(CollectorId::random),
        user: (seconds % 2 == 1).then(Uuid::new_v4),
        scopes: vec!["push".to_owned(), "read".to_owned()],
        created_at: at(seconds),
        expires_at: (seconds == 1).then(|| at(9)),
    };
    let [old, new, theirs] = [token(1, 1), token(1, 2), token(2, 3)];
    for token in [&old, &new, &theirs] {
        property.ok(store.add_api_token(token).await)?;
    }
    property.holds(is_exists(&store.add_api_token(&old).await), || "an id was given twice".to_owned())?;
    property.equal("by id", &property.ok(store.api_token(old.id).await)?.as_ref(), &Some(&old))?;
    property.equal("newest first", &property.ok(store.api_tokens(tenant(1)).await)?, &vec![new, old.clone()])?;
    let foreign = property.ok(store.remove_api_token(tenant(1), theirs.id).await)?;
    property.equal("removing another tenant's", &foreign, &false)?;
    property.equal("removing one's own", &property.ok(store.remove_api_token(tenant(1), old.id).await)?, &true)?;
    property.equal("removing it again", &property.ok(store.remove_api_token(tenant(1), old.id).await)?, &false)?;
    property.equal("the removed one", &property.ok(store.api_token(old.id).await)?, &None)?;
    property.equal("the other tenant's", &property.ok(store.api_token(theirs.id).await)?, &Some(theirs))
}

fn collector(tenant: TenantId, name: &str) -> CollectorRecord {
    CollectorRecord {
        id: CollectorId::random(),
        tenant,
        name: name.to_owned(),
        hostname: "db1".to_owned(),
        version: "0.1.0".to_owned(),
        registered_at: at(0),
        last_seen: None,
        revoked: false,
    }
}

pub(super) async fn collectors_are_kept<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("collectors are kept, each in its tenant");
    let all = ["c", "a", "b"].map(|name| collector(tenant(1), name));
    let theirs = collector(tenant(2), "d");
    for collector in all.iter().chain([&theirs]) {
        property.ok(store.put_collector(collector).await)?;
    }
    let [third, first, second] = all;
    property.ok(store.touch_collector(first.id, at(20)).await)?;
    property.ok(store.touch_collector(first.id, at(10)).await)?;
    property.ok(store.touch_collector(CollectorId::random(), at(10)).await)?;
    property.equal("revoking", &property.ok(store.set_collector_revoked(tenant(1), first.id, true).await)?, &true)?;
    let foreign = property.ok(store.set_collector_revoked(tenant(1), theirs.id, true).await)?;
    property.equal("revoking another tenant's", &foreign, &false)?;
    let renamed = CollectorRecord { version: "0.2.0".to_owned(), registered_at: at(99), ..first.clone() };
    property.ok(store.put_collector(&renamed).await)?;
    let first = CollectorRecord { version: "0.2.0".to_owned(), last_seen: Some(at(20)), revoked: true, ..first };
    property.equal("after all that", &property.ok(store.collector(first.id).await)?.as_ref(), &Some(&first))?;
    let stolen = CollectorRecord { tenant: tenant(1), ..theirs.clone() };
    property
        .holds(is_exists(&store.put_collector(&stolen).await), || "a tenant took another's collector".to_owned())?;
    property.equal("the other tenant's", &property.ok(store.collector(theirs.id).await)?.as_ref(), &Some(&theirs))?;
    let page = property.ok(store.collectors(tenant(1), 0, 2).await)?;
    property.equal("first page by name", &page, &(vec![first, second], 3))?;
    let page = property.ok(store.collectors(tenant(1), 2, u64::MAX).await)?;
    property.equal("last page", &page, &(vec![third], 3))?;
    property.equal("past the end", &property.ok(store.collectors(tenant(1), 9, 9).await)?, &(vec![], 3))
}

pub(super) async fn a_removed_collector_takes_its_tokens_along<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a removed collector is gone with its tokens; others stay");
    let [removed, stays] = ["a", "b"].map(|name| collector(tenant(1), name));
    let token_of = |collector: &CollectorRecord| ApiToken {
        id: Uuid::new_v4(),
        hash: [1; 32],
        tenant: collector.tenant,
        name: collector.name.clone(),
        collector: Some(collector.id),
        user: None,
        scopes: vec!["push".to_owned()],
        created_at: at(0),
        expires_at: None,
    };
    let tokens = [&removed, &removed, &stays].map(token_of);
    for collector in [&removed, &stays] {
        property.ok(store.put_collector(collector).await)?;
    }
    for token in &tokens {
        property.ok(store.add_api_token(token).await)?;
    }
    let foreign = property.ok(store.remove_collector(tenant(2), removed.id).await)?;
    property.equal("removing another tenant's", &foreign, &false)?;
    property.equal("tokens after that", &property.ok(store.api_tokens(tenant(1)).await)?.len(), &3)?;
    property.equal("removing", &property.ok(store.remove_collector(tenant(1), removed.id).await)?, &true)?;
    property.equal("removing again", &property.ok(store.remove_collector(tenant(1), removed.id).await)?, &false)?;
    property.equal("the removed one", &property.ok(store.collector(removed.id).await)?, &None)?;
    let [.., kept] = tokens;
    property.equal("tokens left", &property.ok(store.api_tokens(tenant(1)).await)?, &vec![kept])?;
    let listed = property.ok(store.collectors(tenant(1), 0, 9).await)?;
    property.equal("collectors left", &listed, &(vec![stays], 1))
}

pub(super) async fn a_setting_is_made_once<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a setting is made once, whoever asks at once");
    let mut askers = JoinSet::new();
    for number in 0..12_u8 {
        let store = Arc::clone(&store);
        askers.spawn(async move { store.setting_or_insert("key", &[number; 40]).await });
    }
    let mut values = std::collections::HashSet::new();
    while let Some(asker) = askers.join_next().await {
        values.insert(property.ok(property.ok(asker)?)?);
    }
    property.equal("values seen", &values.len(), &1)?;
    let other = property.ok(store.setting_or_insert("other", &[]).await)?;
    property.equal("an empty value of another name", &other, &Vec::new())
}
