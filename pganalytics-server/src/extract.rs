//! What handlers take from requests; every refusal is a problem document.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, OptionalFromRequest, Query, Request, rejection::JsonRejection},
    http::{StatusCode, header, request::Parts},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::{ApiResult, Problem},
    peer::Peer,
    principal::Principal,
    state::App,
};

/// Longest JSON body of anything but a push.
const MAX_JSON_BYTES: usize = 1 << 20;

impl FromRequestParts<App> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> ApiResult<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal(&"a route without a guard"))
    }
}

impl FromRequestParts<App> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let known = parts.extensions.get::<Self>().copied();
        Ok(known.unwrap_or_else(|| Self::of(&app.settings, parts)))
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> ApiResult<Self> {
        let limited = request.map(|body| axum::body::Body::new(http_body_util::Limited::new(body, MAX_JSON_BYTES)));
        match <Json<T> as FromRequest<App>>::from_request(limited, app).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send the body with Content-Type: application/json",
            )),
            Err(JsonRejection::JsonDataError(error)) => Err(Problem::invalid("bad_body", error.body_text())),
            Err(JsonRejection::JsonSyntaxError(error)) => Err(Problem::bad_request("bad_json", error.body_text())),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("the body is larger than {MAX_JSON_BYTES} bytes");
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail))
            }
            Err(error) => Err(Problem::bad_request("bad_body", error.body_text())),
        }
    }
}

impl<T: DeserializeOwned> OptionalFromRequest<App> for Body<T> {
    type Rejection = Problem;

    /// No body where no type of one is named.
    async fn from_request(request: Request, app: &App) -> ApiResult<Option<Self>> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<App>>::from_request(request, app).await.map(Some)
    }
}

/// Parameters of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        match axum::extract::Path::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::bad_request("bad_path", error.body_text())),
        }
    }
}

/// Parameters behind the `?`.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::bad_request("bad_query", error.body_text())),
        }
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// Page, from 1 on.
    #[serde(default = "one")]
    #[param(default = 1, minimum = 1)]
    page: u64,
    /// Entries of a page.
    #[serde(default = "fifty")]
    #[param(default = 50, minimum = 1, maximum = 1000)]
    page_size: u64,
}

fn one() -> u64 {
    1
}

fn fifty() -> u64 {
    50
}

impl PageParams {
    pub(crate) fn checked(self) -> ApiResult<Self> {
        if self.page == 0 || self.page > 1_000_000_000 || self.page_size == 0 || self.page_size > 1000 {
            return Err(Problem::bad_request("bad_page", "page begins with 1, page_size is between 1 and 1000"));
        }
        Ok(self)
    }

    pub(crate) fn offset(self) -> u64 {
        (self.page - 1) * self.page_size
    }

    pub(crate) fn limit(self) -> u64 {
        self.page_size
    }

    /// A page of a list that is wholly there.
    pub(crate) fn cut<T>(self, all: Vec<T>) -> List<T> {
        let total = all.len() as u64;
        let skip = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        let take = usize::try_from(self.page_size).unwrap_or(usize::MAX);
        self.list(all.into_iter().skip(skip).take(take).collect(), total)
    }

    /// A page of a list with so many entries in all.
    pub(crate) fn list<T>(self, data: Vec<T>, total: u64) -> List<T> {
        let total_pages = total.div_ceil(self.page_size.max(1));
        List { data, count: total, total, page: self.page, page_size: self.page_size, total_pages }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The entries of this page.
    pub(crate) data: Vec<T>,
    /// Entries of all pages.
    pub(crate) count: u64,
    /// Entries of all pages.
    pub(crate) total: u64,
    /// This page.
    pub(crate) page: u64,
    /// Entries of a page.
    pub(crate) page_size: u64,
    /// Number of pages.
    pub(crate) total_pages: u64,
}
