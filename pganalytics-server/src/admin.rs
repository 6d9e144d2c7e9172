//! Users and tokens without the API: what the command line does for whoever may
//! read the store anyway.

use std::sync::Arc;

use pganalytics_core::Secret;
use pganalytics_store::{
    MetaStore, StoreError,
    meta_store::{ApiToken, Role, User},
};

use crate::{
    api::setup,
    auth::{
        api_token,
        key_store::{self, SigningKey},
        password, random,
        scope::Scope,
    },
    error::ServerError,
    settings::Settings,
    state::now,
};

/// Manages users and tokens in a store, past every permission.
#[derive(Clone)]
pub struct Admin {
    meta: Arc<dyn MetaStore>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// Manages this store's.
    #[must_use]
    pub fn new(meta: Arc<dyn MetaStore>) -> Self {
        Self { meta }
    }

    /// Adds a user and gives the random password.
    ///
    /// # Errors
    /// When the name can't be one or is taken, or the store fails.
    pub async fn add_user(&self, username: &str, role: Role) -> Result<Secret<String>, ServerError> {
        if !setup::is_username(username) {
            return Err(ServerError::setting("user", setup::USERNAME_RULE));
        }
        let (password, hash) = random_password().await?;
        self.meta.add_user(&setup::new_user(username, hash, role)).await?;
        Ok(password)
    }

    /// Gives a user a new random password and ends the user's sessions.
    ///
    /// # Errors
    /// When there is no such user, or the store fails.
    pub async fn reset_password(&self, username: &str) -> Result<Secret<String>, ServerError> {
        let user = self.user(username).await?;
        let (password, hash) = random_password().await?;
        self.meta.set_password(user.id, &hash).await?;
        Ok(password)
    }

    /// Makes an API token that acts as a user, within these scopes.
    ///
    /// # Errors
    /// When there is no such user, or the store fails.
    pub async fn add_token(
        &self,
        username: &str,
        name: &str,
        scopes: impl IntoIterator<Item = Scope>,
    ) -> Result<Secret<String>, ServerError> {
        let user = self.user(username).await?;
        let token = api_token::issue()?;
        let row = ApiToken {
            id: token.id,
            hash: token.hash,
            tenant: user.tenant,
            name: name.to_owned(),
            collector: None,
            user: Some(user.id),
            scopes: scopes.into_iter().map(|scope| scope.to_string()).collect(),
            created_at: now(),
            expires_at: None,
        };
        self.meta.add_api_token(&row).await?;
        Ok(token.text)
    }

    /// The keys that access tokens are signed with, oldest first.
    ///
    /// # Errors
    /// When the settings name a secret for all tokens instead, or the store fails.
    pub async fn signing_keys(&self, settings: &Settings) -> Result<Vec<SigningKey>, ServerError> {
        key_store::list(&*self.meta, settings).await
    }

    /// Makes a new key, which signs from now on; running servers go over to it within a minute.
    /// Tokens of the one before are taken until they end.
    ///
    /// # Errors
    /// When the settings name a secret for all tokens instead, there are too many keys, or the
    /// store fails.
    pub async fn rotate_signing_keys(&self, settings: &Settings) -> Result<Vec<SigningKey>, ServerError> {
        key_store::rotate(&*self.meta, settings).await
    }

    async fn user(&self, username: &str) -> Result<User, ServerError> {
        let user = self.meta.user_by_name(username).await?;
        user.ok_or_else(|| StoreError::NotFound { what: "user", name: username.to_owned() }.into())
    }
}

/// A random password and its hash, made off the async threads.
pub(crate) async fn random_password() -> Result<(Secret<String>, String), ServerError> {
    let password = random::password()?;
    let hash = hash(&password).await?;
    Ok((password, hash))
}

/// The hash of a password, made off the async threads.
pub(crate) async fn hash(password: &Secret<String>) -> Result<String, ServerError> {
    let password = password.clone();
    let hash = tokio::task::spawn_blocking(move || password::hash_blocking(&password)).await;
    hash.map_err(|error| ServerError::Crypto(error.to_string()))?
}
