//! Where the keys of access tokens are kept, and how they are rotated.

use pganalytics_core::{Secret, Timestamp};
use pganalytics_store::MetaStore;

use super::{access_token::Signer, random, token_keys::KeyDocument};
use crate::{error::ServerError, settings::Settings, state::now};

/// Name under which the store keeps the secret of everything that is signed and is no token.
const SECRET: &str = "jwt_secret";
/// Name under which the store keeps the keys of tokens.
const KEYS: &str = "signing_keys";
/// Others may rotate keys at the same moment; nobody does so this often.
const MOST_TRIES: usize = 16;

/// A signing key, without what makes it secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SigningKey {
    /// Its name in the head of a token, `kid`.
    pub kid: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when tokens of it are taken; `None`: it signs.
    pub accepted_until: Option<Timestamp>,
}

/// What signs, as the settings and the store say.
pub(crate) async fn signer(meta: &dyn MetaStore, settings: &Settings) -> Result<Signer, ServerError> {
    let lifetime = lifetime(settings);
    if let Some(given) = &settings.jwt_secret {
        return Ok(Signer::shared(&Secret::new(given.expose().as_bytes().to_vec()), lifetime));
    }
    let candidate = random::bytes::<48>()?;
    let secret = Secret::new(meta.setting_or_insert(SECRET, &candidate).await?);
    Signer::own(&secret, &read(meta).await?, lifetime)
}

fn lifetime(settings: &Settings) -> u32 {
    u32::try_from(settings.access_lifetime.as_secs()).unwrap_or(900)
}

async fn read(meta: &dyn MetaStore) -> Result<KeyDocument, ServerError> {
    let candidate = KeyDocument::first(now())?.to_bytes();
    KeyDocument::parse(&meta.setting_or_insert(KEYS, &candidate).await?)
}

/// Takes over the keys that the store has now, unless there is one secret for all.
pub(crate) async fn refresh(meta: &dyn MetaStore, signer: &Signer) -> Result<(), ServerError> {
    if signer.has_own_keys() { signer.replace_keys(&read(meta).await?) } else { Ok(()) }
}

/// The keys in the store, oldest first.
pub(crate) async fn list(meta: &dyn MetaStore, settings: &Settings) -> Result<Vec<SigningKey>, ServerError> {
    refuse_shared(settings)?;
    Ok(shown(&read(meta).await?, settings))
}

/// Makes a new key, which signs from now on; those before it are taken until their tokens have ended.
pub(crate) async fn rotate(meta: &dyn MetaStore, settings: &Settings) -> Result<Vec<SigningKey>, ServerError> {
    refuse_shared(settings)?;
    for _ in 0..MOST_TRIES {
        let before = read(meta).await?;
        let after = before.rotated(now(), i64::from(lifetime(settings)))?;
        if meta.replace_setting(KEYS, &before.to_bytes(), &after.to_bytes()).await? {
            return Ok(shown(&after, settings));
        }
    }
    Err(ServerError::setting("signing keys", "others rotate them all the time; try again"))
}

fn refuse_shared(settings: &Settings) -> Result<(), ServerError> {
    if settings.jwt_secret.is_none() {
        return Ok(());
    }
    let why = "tokens are signed with this secret: give all servers another one and restart them to rotate it, \
               or leave it out for keys that the store holds";
    Err(ServerError::setting("JWT_SECRET", why))
}

fn shown(document: &KeyDocument, settings: &Settings) -> Vec<SigningKey> {
    let key = |(record, ends): (&super::token_keys::KeyRecord, Option<Timestamp>)| SigningKey {
        kid: record.kid.clone(),
        created_at: record.created_at,
        accepted_until: ends,
    };
    document.in_use(i64::from(lifetime(settings))).map(key).collect()
}
