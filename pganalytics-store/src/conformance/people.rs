//! Users, tokens, collectors, settings.

use std::sync::Arc;

use pganalytics_core::{CollectorId, TenantId};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    Check, Property,
    fixture::{at, tenant},
};
use crate::{
    StoreError,
    meta_store::{ApiToken, CollectorRecord, MetaStore, Role, User},
};

pub(super) fn user(name: &str, role: Role) -> User {
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

pub(super) fn is_exists<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Exists { .. }))
}

pub(super) async fn usernames_are_unique<S: MetaStore + 'static>(store: Arc<S>) -> Check {
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

pub(super) async fn there_is_one_first_user<S: MetaStore + 'static>(store: Arc<S>) -> Check {
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

pub(super) async fn api_tokens_belong_to_their_tenant<S: MetaStore + 'static>(store: Arc<S>) -> Check {
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

fn token_of(collector: &CollectorRecord) -> ApiToken {
    ApiToken {
        id: Uuid::new_v4(),
        hash: [1; 32],
        tenant: collector.tenant,
        name: collector.name.clone(),
        collector: Some(collector.id),
        user: None,
        scopes: vec!["push".to_owned()],
        created_at: at(0),
        expires_at: None,
    }
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

pub(super) async fn collectors_are_kept<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("collectors are kept, each in its tenant");
    let all = ["c", "a", "b"].map(|name| collector(tenant(1), name));
    let theirs = collector(tenant(2), "d");
    for collector in all.iter().chain([&theirs]) {
        property.ok(store.put_collector(collector, 100).await)?;
    }
    let [third, first, second] = all;
    property.ok(store.touch_collector(first.id, at(20)).await)?;
    property.ok(store.touch_collector(first.id, at(10)).await)?;
    property.ok(store.touch_collector(CollectorId::random(), at(10)).await)?;
    property.equal("revoking", &property.ok(store.set_collector_revoked(tenant(1), first.id, true).await)?, &true)?;
    let foreign = property.ok(store.set_collector_revoked(tenant(1), theirs.id, true).await)?;
    property.equal("revoking another tenant's", &foreign, &false)?;
    let renamed = CollectorRecord { version: "0.2.0".to_owned(), registered_at: at(99), ..first.clone() };
    property.ok(store.put_collector(&renamed, 0).await)?;
    let first = CollectorRecord { version: "0.2.0".to_owned(), last_seen: Some(at(20)), revoked: true, ..first };
    property.equal("after all that", &property.ok(store.collector(first.id).await)?.as_ref(), &Some(&first))?;
    let stolen = CollectorRecord { tenant: tenant(1), ..theirs.clone() };
    property.holds(is_exists(&store.put_collector(&stolen, 100).await), || {
        "a tenant took another's collector".to_owned()
    })?;
    property.equal("the other tenant's", &property.ok(store.collector(theirs.id).await)?.as_ref(), &Some(&theirs))?;
    let page = property.ok(store.collectors(tenant(1), 0, 2).await)?;
    property.equal("first page by name", &page, &(vec![first, second], 3))?;
    let page = property.ok(store.collectors(tenant(1), 2, u64::MAX).await)?;
    property.equal("last page", &page, &(vec![third], 3))?;
    property.equal("past the end", &property.ok(store.collectors(tenant(1), 9, 9).await)?, &(vec![], 3))
}

pub(super) async fn there_are_no_more_collectors_than_allowed<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("a tenant has no more collectors than it may, whoever adds some at once");
    let mut adding = JoinSet::new();
    for number in 0..24 {
        let store = Arc::clone(&store);
        let new = collector(tenant(1), &format!("agent{number}"));
        adding.spawn(async move {
            let token = token_of(&new);
            if number % 2 == 0 {
                store.register_collector(&new, &token, 5).await
            } else {
                store.put_collector(&new, 5).await
            }
        });
    }
    let mut added = 0;
    while let Some(outcome) = adding.join_next().await {
        added += u64::from(property.ok(property.ok(outcome)?)?);
    }
    let (known, count) = property.ok(store.collectors(tenant(1), 0, 100).await)?;
    property.equal("collectors", &(added, count), &(5, 5))?;
    for one in &known {
        property.equal("changing one that is there", &property.ok(store.put_collector(one, 5).await)?, &true)?;
    }
    let ids: Vec<_> = known.iter().map(|known| Some(known.id)).collect();
    let tokens = property.ok(store.api_tokens(tenant(1)).await)?;
    property.holds(tokens.iter().all(|token| ids.contains(&token.collector)), || {
        "a collector that was one too many has a token".to_owned()
    })?;
    let theirs = collector(tenant(2), "theirs");
    property.equal("another tenant's", &property.ok(store.put_collector(&theirs, 1).await)?, &true)
}

pub(super) async fn a_collector_is_registered_with_its_token_or_not_at_all<S: MetaStore + 'static>(
    store: Arc<S>,
) -> Check {
    let property = Property("a collector is registered with its token or not at all");
    let [first, second] = ["a", "b"].map(|name| collector(tenant(1), name));
    let token = token_of(&first);
    property.equal("registering", &property.ok(store.register_collector(&first, &token, 9).await)?, &true)?;
    property.equal("the token", &property.ok(store.api_token(token.id).await)?.as_ref(), &Some(&token))?;
    let again = store.register_collector(&first, &token_of(&first), 9).await;
    property.holds(is_exists(&again), || "a collector was registered twice".to_owned())?;
    let taken = store.register_collector(&second, &ApiToken { id: token.id, ..token_of(&second) }, 9).await;
    property.holds(is_exists(&taken), || "a token's id was given twice".to_owned())?;
    property.equal("a collector without a token", &property.ok(store.collector(second.id).await)?, &None)?;
    property.equal("tokens", &property.ok(store.api_tokens(tenant(1)).await)?, &vec![token])
}

pub(super) async fn a_removed_collector_takes_its_tokens_along<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("a removed collector is gone with its tokens; others stay");
    let [removed, stays] = ["a", "b"].map(|name| collector(tenant(1), name));
    let tokens = [&removed, &removed, &stays].map(token_of);
    for collector in [&removed, &stays] {
        property.ok(store.put_collector(collector, 100).await)?;
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

pub(super) async fn a_setting_is_made_once<S: MetaStore + 'static>(store: Arc<S>) -> Check {
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

pub(super) async fn a_setting_is_changed_by_one<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("of many who change a setting at once, one does");
    property.ok(store.setting_or_insert("key", b"old").await)?;
    let mut changers = JoinSet::new();
    for number in 0..12_u8 {
        let store = Arc::clone(&store);
        changers.spawn(async move {
            store.replace_setting("key", b"old", &[number]).await.map(|done| done.then_some(number))
        });
    }
    let mut winners = Vec::new();
    while let Some(changer) = changers.join_next().await {
        winners.extend(property.ok(property.ok(changer)?)?);
    }
    property.equal("changes", &winners.len(), &1)?;
    let value = property.ok(store.setting_or_insert("key", b"other").await)?;
    property.equal("the value", &value, &winners)?;
    let missing = property.ok(store.replace_setting("none", b"", b"x").await)?;
    property.equal("changing what is not there", &missing, &false)
}
