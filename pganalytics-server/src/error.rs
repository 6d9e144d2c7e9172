//! Errors: of the API as problem documents (RFC 9457), of the library as one enum.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use pganalytics_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a server could not be built or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A setting is wrong.
    #[error("{key}: {message}")]
    Setting {
        /// The setting.
        key: String,
        /// What is wrong and what to do; never a secret.
        message: String,
    },
    /// Something that [`ServerBuilder`](crate::ServerBuilder) needs was not given.
    #[error("the builder needs {0}")]
    Missing(&'static str),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network or a file failed.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// The in-process agent could not be set up.
    #[error("agent: {0}")]
    Agent(String),
    /// The system gave no random bytes, or a library refused its own output.
    #[error("cryptography: {0}")]
    Crypto(String),
}

impl ServerError {
    /// A wrong setting.
    pub fn setting(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Setting { key: key.into(), message: message.into() }
    }
}

/// An error answer. It becomes a problem document when it leaves the server,
/// where the request's id and path are known.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(crate) retry_after_secs: Option<u64>,
}

pub(crate) type ApiResult<T> = Result<T, Problem>;

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_secs: None }
    }

    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    pub(crate) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub(crate) fn not_found(what: &str, name: &str) -> Self {
        let name: String = name.chars().take(80).collect();
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} {name:?}"))
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(crate) fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    pub(crate) fn too_many(code: &'static str, detail: impl Into<String>, retry_after_secs: u64) -> Self {
        Self {
            retry_after_secs: Some(retry_after_secs.max(1)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail)
        }
    }

    pub(crate) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self { retry_after_secs: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
    }

    /// What went wrong stands in the log; strangers get the request's id.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed inside");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong inside the server; its log says what, under this request_id",
        )
    }

    /// For answers of the router itself, which have a status only.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "there is nothing at this path; /api/v1/docs lists what there is"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this path does not take this method"),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "this content type is not taken here"),
            _ => ("request_failed", status.canonical_reason().unwrap_or("the request failed")),
        };
        Self::new(status, code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = self.status;
        if let Some(secs) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pganalytics\""));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Sql(error) => crate::api::sql::problem(&error),
            StoreError::NotFound { what, name } => Self::not_found(what, &name),
            StoreError::Exists { what, name } => {
                Self::conflict("already_exists", format!("{what} {name:?} is there already"))
            }
            StoreError::DiskFull(_) => {
                tracing::error!(%error, "the store's disk is full");
                Self { retry_after_secs: Some(10), ..Self::unavailable("disk_full", "the store's disk is full") }
            }
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the store is not available");
                Self::unavailable("store_unavailable", "the store is not available just now; try again")
            }
            other => Self::internal(&other),
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemDocument<'a> {
    /// A URI for the kind of problem.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The status in words.
    pub(crate) title: &'a str,
    /// The status.
    pub(crate) status: u16,
    /// What is wrong, where, what to do.
    pub(crate) detail: &'a str,
    /// The path that was asked for.
    pub(crate) instance: &'a str,
    /// Stable name of the kind of problem.
    pub(crate) code: &'a str,
    /// The same as `detail`.
    pub(crate) message: &'a str,
    /// Finds the request in the server's log.
    pub(crate) request_id: &'a str,
}
