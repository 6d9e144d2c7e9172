//! `/preferences`: what a person has chosen for the UI, on whichever browser.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use pganalytics_core::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::kept::{Kind, content};
use crate::{
    error::{ApiResult, Problem},
    extract::Body,
    principal::Principal,
    state::App,
};

/// Of each user there is one.
const PREFERENCES: Kind = Kind { name: "preferences", noun: "preferences", most: 1 };
/// They are about no time.
const NEVER: Timestamp = Timestamp::from_micros(0);

/// A choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Choice {
    /// On or off.
    Switch(bool),
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

/// Choices by name; which there are is the UI's affair.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub(crate) struct Preferences(BTreeMap<String, Choice>);

impl Preferences {
    fn check(&self) -> ApiResult<()> {
        let is_short = |text: &str, most: usize| text.len() <= most && !text.chars().any(char::is_control);
        let is_fine = |(name, choice): (&String, &Choice)| {
            let fits = match choice {
                Choice::Switch(_) | Choice::Number(_) => true,
                Choice::Word(word) => is_short(word, 256),
            };
            !name.is_empty() && is_short(name, 64) && fits
        };
        if self.0.len() > 64 || !self.0.iter().all(is_fine) {
            let rule = "at most 64 choices, with names of at most 64 bytes and words of at most 256";
            return Err(Problem::invalid("bad_preferences", rule));
        }
        Ok(())
    }
}

/// What somebody has chosen; nothing for who is no person.
pub(super) async fn of(app: &App, principal: &Principal) -> ApiResult<Preferences> {
    let Some(user) = principal.user() else { return Ok(Preferences::default()) };
    let found = principal.within(app).document(id_of(user)).await?;
    // What can't be read is as if nothing had been chosen.
    Ok(found.and_then(|document| content(&document).ok()).unwrap_or_default())
}

/// The id of a user's.
fn id_of(user: Uuid) -> Uuid {
    let mut bytes = *user.as_bytes();
    // Users and what they leave are apart; the bits of a UUID's version are 4 for users.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    Uuid::from_bytes(bytes)
}

/// One's preferences
#[utoipa::path(get, path = "/api/v1/preferences", tag = "ui",
    responses((status = 200, description = "Choices by name", body = Preferences)))]
pub(crate) async fn get(State(app): State<App>, principal: Principal) -> ApiResult<Json<Preferences>> {
    of(&app, &principal).await.map(Json)
}

/// Keep one's preferences
///
/// In place of those that were there.
#[utoipa::path(put, path = "/api/v1/preferences", tag = "ui", request_body = Preferences, responses(
    (status = 200, description = "Kept", body = Preferences),
    (status = 422, description = "Too many, or too long", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn put(
    State(app): State<App>,
    principal: Principal,
    Body(new): Body<Preferences>,
) -> ApiResult<Json<Preferences>> {
    new.check()?;
    let Some(owner) = principal.user() else {
        return Err(Problem::forbidden("not_allowed", "only people have preferences"));
    };
    PREFERENCES.keep(&app, &principal, (owner, id_of(owner)), (NEVER, NEVER), &new).await?;
    Ok(Json(new))
}
