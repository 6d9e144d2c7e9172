//! Sessions: refresh tokens, their rotation, and what ends them.

use std::sync::Arc;

use pganalytics_core::Timestamp;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    Check, ConformanceFailure, Property,
    fixture::at,
    people::{is_exists, user},
};
use crate::{
    StoreError,
    meta_store::{MetaStore, RefreshToken, Role, Rotated, User},
};

fn token(number: u8, family: Uuid, user: Uuid) -> RefreshToken {
    RefreshToken { hash: [number; 32], family, user, expires_at: at(3600) }
}

fn is_not_found<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound { .. }))
}

/// A user with a login whose refresh token is `[number; 32]`.
async fn logged_in<S: MetaStore + 'static>(
    property: Property,
    store: &S,
    owner: &User,
    number: u8,
) -> Result<Uuid, ConformanceFailure> {
    let family = Uuid::from_u128(number.into());
    let kept = property.ok(store.add_refresh_token(&token(number, family, owner.id), owner.version).await)?;
    property.equal("a token of a new login is kept", &kept, &true)?;
    Ok(family)
}

/// Spends token `old` for token `new`, which ends at second 7200.
async fn rotate<S: MetaStore + 'static>(
    property: Property,
    store: &S,
    (old, new): (u8, u8),
    now: Timestamp,
) -> Result<Rotated, ConformanceFailure> {
    property.ok(store.rotate_refresh_token(&[old; 32], &[new; 32], at(7200), now).await)
}

pub(super) async fn a_refresh_token_is_spent_once<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("a refresh token is spent once; a second time revokes its family");
    let owner = user("ada", Role::User);
    property.ok(store.add_user(&owner).await)?;
    let family = logged_in(property, &*store, &owner, 1).await?;
    logged_in(property, &*store, &owner, 2).await?;
    let spend = |pair, now| rotate(property, &*store, pair, now);
    let good = |family| Rotated::Good { user: owner.clone(), family };
    property.equal("an unknown token", &spend((99, 100), at(0)).await?, &Rotated::Unknown)?;
    property.equal("the new one of an unknown one", &spend((100, 101), at(0)).await?, &Rotated::Unknown)?;
    property.equal("a good token", &spend((1, 11), at(0)).await?, &good(family))?;
    property.equal("the next one", &spend((11, 12), at(3600)).await?, &good(family))?;
    property.equal("the first again", &spend((1, 13), at(0)).await?, &Rotated::Reused)?;
    property.equal("its new one", &spend((13, 14), at(0)).await?, &Rotated::Unknown)?;
    property.equal("the last of the family", &spend((12, 15), at(0)).await?, &Rotated::Unknown)?;
    property.equal("another login that ended", &spend((2, 16), at(3600)).await?, &Rotated::Unknown)?;
    property.equal("another login", &spend((2, 17), at(3599)).await?, &good(Uuid::from_u128(2)))?;
    let taken = store.rotate_refresh_token(&[17; 32], &[2; 32], at(7200), at(0)).await;
    property.holds(is_exists(&taken), || "a hash was used twice".to_owned())?;
    property.equal("after that", &spend((17, 18), at(0)).await?, &good(Uuid::from_u128(2)))?;
    let stray = store.add_refresh_token(&token(4, family, Uuid::new_v4()), 1).await;
    property.holds(is_not_found(&stray), || "a token for a user that is not there was kept".to_owned())
}

pub(super) async fn thieves_at_once_get_one_session_and_lose_it<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("of many who spend one refresh token at once one succeeds, and none keeps the session");
    let owner = user("ada", Role::User);
    property.ok(store.add_user(&owner).await)?;
    for round in 0..8_u8 {
        logged_in(property, &*store, &owner, round).await?;
        let mut thieves = JoinSet::new();
        for thief in 0..4_u8 {
            let (store, new) = (Arc::clone(&store), 100 + round * 4 + thief);
            thieves.spawn(async move { (new, rotate(property, &*store, (round, new), at(0)).await) });
        }
        let mut good = Vec::new();
        while let Some(thief) = thieves.join_next().await {
            let (new, rotated) = property.ok(thief)?;
            if matches!(rotated?, Rotated::Good { .. }) {
                good.push(new);
            }
        }
        property.equal("successes of four at once", &good.len(), &1)?;
        for new in good {
            let after = rotate(property, &*store, (new, 200 + round), at(0)).await?;
            property.equal("the one that succeeded, afterwards", &after, &Rotated::Unknown)?;
        }
    }
    Ok(())
}

pub(super) async fn a_log_out_beats_a_refresh_at_the_same_moment<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("after sessions are ended none goes on, whatever was being renewed at that moment");
    let mut owner = user("ada", Role::User);
    property.ok(store.add_user(&owner).await)?;
    for round in 0..24_u8 {
        logged_in(property, &*store, &owner, round).await?;
        let renew = {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut last = round;
                // As a page that renews again and again.
                for next in [100 + round, 140 + round, 180 + round] {
                    match rotate(property, &*store, (last, next), at(0)).await? {
                        Rotated::Good { .. } => last = next,
                        _ => break,
                    }
                }
                Ok(last)
            })
        };
        let log_in = {
            let (store, owner) = (Arc::clone(&store), owner.clone());
            // A password that was right before the log-out.
            tokio::spawn(async move {
                let late = token(220 + round, Uuid::new_v4(), owner.id);
                store.add_refresh_token(&late, owner.version).await
            })
        };
        for _ in 0..round % 4 {
            tokio::task::yield_now().await;
        }
        property.ok(if round % 2 == 0 {
            store.end_sessions(owner.id).await
        } else {
            store.set_password(owner.id, "$argon2id$2").await
        })?;
        let last: u8 = property.ok(renew.await)??;
        property.ok(property.ok(log_in.await)?)?;
        owner.version += 1;
        for spent in [last, 220 + round] {
            let after = rotate(property, &*store, (spent, 255), at(0)).await?;
            property.holds(!matches!(after, Rotated::Good { .. }), || format!("round {round}: {after:?}"))?;
        }
    }
    Ok(())
}

pub(super) async fn sessions_end_at_once<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("ending sessions counts the version up and revokes refresh tokens");
    let (owner, other) = (user("ada", Role::User), user("bob", Role::User));
    for user in [&owner, &other] {
        property.ok(store.add_user(user).await)?;
    }
    for (number, user) in [(1, &owner), (2, &owner), (3, &owner), (4, &other)] {
        logged_in(property, &*store, user, number).await?;
    }
    property.ok(store.revoke_family(Uuid::from_u128(1)).await)?;
    let spend = |number: u8| rotate(property, &*store, (number, 10 * number), at(0));
    property.equal("a revoked family", &spend(1).await?, &Rotated::Unknown)?;
    property.holds(matches!(spend(2).await?, Rotated::Good { .. }), || "a login ended with another".to_owned())?;
    property.ok(store.set_password(owner.id, "$argon2id$2").await)?;
    property.equal("after a new password", &spend(3).await?, &Rotated::Unknown)?;
    property.equal("what was renewed before it", &spend(20).await?, &Rotated::Unknown)?;
    property.ok(store.end_sessions(owner.id).await)?;
    let now = property.ok(store.user(owner.id).await)?;
    let expected = User { version: owner.version + 2, password_hash: "$argon2id$2".to_owned(), ..owner.clone() };
    property.equal("the user", &now, &Some(expected))?;
    let late = store.add_refresh_token(&token(5, Uuid::new_v4(), owner.id), owner.version).await;
    property.equal("a log-in from before", &property.ok(late)?, &false)?;
    property.equal("its token", &spend(5).await?, &Rotated::Unknown)?;
    property.holds(matches!(spend(4).await?, Rotated::Good { .. }), || "another user's login ended".to_owned())?;
    let nobody = store.end_sessions(Uuid::new_v4()).await.and(store.set_password(Uuid::new_v4(), "x").await);
    property.holds(is_not_found(&nobody), || "sessions of nobody were ended".to_owned())
}

pub(super) async fn ended_sessions_are_dropped_and_no_others<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("sessions that ended are forgotten, others go on");
    let owner = user("ada", Role::User);
    property.ok(store.add_user(&owner).await)?;
    logged_in(property, &*store, &owner, 1).await?;
    logged_in(property, &*store, &owner, 2).await?;
    // It is spent, and stays known until it would have ended: who spends it again is a thief.
    property.ok(store.rotate_refresh_token(&[1; 32], &[11; 32], at(7200), at(0)).await)?;
    property.equal("ended too early", &property.ok(store.drop_ended_sessions(at(3600)).await)?, &0)?;
    property.equal("ended", &property.ok(store.drop_ended_sessions(at(3601)).await)?, &2)?;
    let live = rotate(property, &*store, (11, 12), at(3601)).await?;
    property.holds(matches!(live, Rotated::Good { .. }), || format!("what has not ended: {live:?}"))?;
    property.equal("ended again", &property.ok(store.drop_ended_sessions(at(3601)).await)?, &0)
}
