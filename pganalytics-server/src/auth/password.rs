//! Passwords: argon2id (19 MiB, two passes, one lane), off the async threads,
//! few at a time, and the same work for users that are not there.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordVerifier, Version,
    password_hash::{PasswordHasher, SaltString},
};
use pganalytics_core::Secret;
use tokio::sync::Semaphore;

use super::{common_passwords, random};
use crate::error::{ApiResult, Problem, ServerError};

/// Shortest password, in characters.
pub(crate) const MIN_CHARACTERS: usize = 12;
/// Longest password, in bytes: enough for anybody, too little to keep us busy.
const MAX_BYTES: usize = 1024;
/// Hashes that are computed at once; each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Requests that may wait for their turn.
const MAX_WAITING: usize = 32;

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// A hash that no password fits.
    nobody: Arc<str>,
}

fn argon2() -> Result<Argon2<'static>, ServerError> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| ServerError::Crypto(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The PHC form of a password's hash. Takes a core for tens of milliseconds.
pub(crate) fn hash_blocking(password: &Secret<String>) -> Result<String, ServerError> {
    let crypto = |error: argon2::password_hash::Error| ServerError::Crypto(error.to_string());
    let salt = SaltString::encode_b64(&random::bytes::<16>()?).map_err(crypto)?;
    Ok(argon2()?.hash_password(password.expose().as_bytes(), &salt).map_err(crypto)?.to_string())
}

fn fits(password: &Secret<String>, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    argon2().is_ok_and(|argon2| argon2.verify_password(password.expose().as_bytes(), &hash).is_ok())
}

impl Passwords {
    pub(crate) async fn new() -> Result<Self, ServerError> {
        let nobody = Secret::new(random::token()?);
        let nobody = tokio::task::spawn_blocking(move || hash_blocking(&nobody)).await;
        let nobody = nobody.map_err(|error| ServerError::Crypto(error.to_string()))??;
        Ok(Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(AT_ONCE + MAX_WAITING)),
            nobody: nobody.into(),
        })
    }

    /// Whether the password is the one of this hash; `None` costs the same and
    /// is never right.
    pub(crate) async fn check(&self, password: Secret<String>, hash: Option<&str>) -> ApiResult<bool> {
        let known = hash.is_some();
        let hash: Arc<str> = hash.map_or_else(|| Arc::clone(&self.nobody), Into::into);
        let right = self.take_turn(move || fits(&password, &hash)).await?;
        Ok(right && known)
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: Secret<String>) -> ApiResult<String> {
        self.take_turn(move || hash_blocking(&password)).await?.map_err(|error| Problem::internal(&error))
    }

    async fn take_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
        let busy = || Problem::unavailable("busy", "too many log-ins at once; try again in a moment");
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        let work = move || {
            let result = work();
            // The turn ends with the work, also when nobody waits for it any more.
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))
    }
}

/// Why a password can't be taken as a new one.
pub(crate) fn refuse_weak(password: &Secret<String>, username: &str) -> Result<(), String> {
    let text = password.expose();
    if text.chars().count() < MIN_CHARACTERS {
        return Err(format!("a password has at least {MIN_CHARACTERS} characters"));
    }
    if text.len() > MAX_BYTES {
        return Err(format!("a password has at most {MAX_BYTES} bytes"));
    }
    if common_passwords::is_common(text, username) {
        return Err("this password is among the first that anybody would try; choose another".to_owned());
    }
    Ok(())
}
