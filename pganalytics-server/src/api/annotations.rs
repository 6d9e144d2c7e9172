//! `/annotations`: deploys, notes and whatever else explains a chart.

use axum::{Json, extract::State, http::StatusCode};
use pganalytics_core::Timestamp;
use pganalytics_store::Document;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::kept::{Kind, content, may_remove};
use crate::{
    error::{ApiResult, Problem},
    extract::{Body, List, PageParams, Params, Path},
    principal::Principal,
    state::{App, now},
};

/// A pipeline that deploys every ten minutes fills it in two years.
const ANNOTATIONS: Kind = Kind { name: "annotation", noun: "annotation", most: 100_000 };
/// Most that one list is made of.
const MOST_LISTED: u64 = 10_000;
/// What a list goes back to without `from`.
const WEEK_MICROS: i64 = 7 * 86_400 * 1_000_000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAnnotation {
    /// What people read: 1 to 200 characters on one line.
    title: String,
    /// When; without it: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    time: Option<Timestamp>,
    /// When it ended, if it was more than a moment.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The server that it is about; without it: all of them.
    #[serde(default)]
    server_id: Option<Uuid>,
    /// At most 16 words.
    #[serde(default)]
    tags: Vec<String>,
    /// Where there is more about it, `https://…`.
    #[serde(default)]
    url: Option<String>,
}

/// What happened, and who says so.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AnnotationView {
    id: Uuid,
    title: String,
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    server_id: Option<Uuid>,
    tags: Vec<String>,
    url: Option<String>,
    /// Login name of who wrote it, as it was then.
    author: String,
    /// Whether the one who asks may remove it.
    #[serde(default)]
    mine: bool,
}

/// Which annotations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those that were not over before this; without it: of the last week.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Those that began before this; without it: all.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Those about this server, and about all.
    #[serde(default)]
    server_id: Option<Uuid>,
}

fn is_line(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

fn check(new: &NewAnnotation) -> ApiResult<()> {
    if !is_line(&new.title, 200) {
        return Err(Problem::invalid("bad_title", "a title has 1 to 200 characters and no line break"));
    }
    if new.tags.len() > 16 || !new.tags.iter().all(|tag| is_line(tag, 64)) {
        return Err(Problem::invalid("bad_tags", "there are at most 16 tags, each of 1 to 64 characters"));
    }
    // Nothing else becomes a link in somebody's browser.
    let is_web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    if new.url.as_ref().is_some_and(|url| !is_line(url, 2000) || !is_web(url)) {
        return Err(Problem::invalid(
            "bad_url",
            "a url begins with https:// or http:// and has at most 2000 characters",
        ));
    }
    if let (Some(time), Some(until)) = (new.time.or_else(|| Some(now())), new.until)
        && until < time
    {
        return Err(Problem::invalid("bad_until", "until is before time"));
    }
    Ok(())
}

fn view(principal: &Principal, document: &Document) -> ApiResult<AnnotationView> {
    let mut view: AnnotationView = content(document)?;
    view.mine = may_remove(principal, document);
    Ok(view)
}

/// List annotations
///
/// Those that began last come first.
#[utoipa::path(get, path = "/api/v1/annotations", tag = "ui", params(Which, PageParams),
    responses((status = 200, description = "A page of annotations", body = List<AnnotationView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
    Params(which): Params<Which>,
    Params(page): Params<PageParams>,
) -> ApiResult<Json<List<AnnotationView>>> {
    let page = page.checked()?;
    let from = which.from.unwrap_or_else(|| Timestamp::from_micros(now().as_micros() - WEEK_MICROS));
    let to = which.to.unwrap_or(Timestamp::from_micros(i64::MAX));
    let found = principal.within(&app).documents(ANNOTATIONS.name, from..to, MOST_LISTED).await?;
    let views = found.iter().map(|document| view(&principal, document)).collect::<ApiResult<Vec<_>>>()?;
    let about = |view: &AnnotationView| {
        which.server_id.is_none() || view.server_id.is_none() || view.server_id == which.server_id
    };
    Ok(Json(page.cut(views.into_iter().filter(about).collect())))
}

/// Make an annotation
///
/// One line in a pipeline says that something was deployed:
/// `curl -H "Authorization: Bearer $TOKEN" --json '{"title":"shop 1.4"}' …/api/v1/annotations`,
/// with a token of the scope `annotate`.
#[utoipa::path(post, path = "/api/v1/annotations", tag = "ui", request_body = NewAnnotation, responses(
    (status = 201, description = "Made", body = AnnotationView),
    (status = 409, description = "This user has too many", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
    (status = 422, description = "A title, tag, url or time that makes no sense", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(app): State<App>,
    principal: Principal,
    Body(new): Body<NewAnnotation>,
) -> ApiResult<(StatusCode, Json<AnnotationView>)> {
    check(&new)?;
    let (Some(owner), Some(author)) = (principal.user(), principal.username()) else {
        return Err(Problem::forbidden("not_allowed", "only people, and tokens of people, annotate"));
    };
    let time = new.time.unwrap_or_else(now);
    let view = AnnotationView {
        id: Uuid::new_v4(),
        title: new.title.trim().to_owned(),
        time,
        until: new.until,
        server_id: new.server_id,
        tags: new.tags,
        url: new.url,
        author: author.to_owned(),
        mine: true,
    };
    let during = (time, new.until.unwrap_or(time));
    if !ANNOTATIONS.keep(&app, &principal, (owner, view.id), during, &view).await? {
        let detail = format!("this user has {} annotations; remove some", ANNOTATIONS.most);
        return Err(Problem::conflict("too_many_annotations", detail));
    }
    Ok((StatusCode::CREATED, Json(view)))
}

/// Remove an annotation
///
/// One's own; an admin any.
#[utoipa::path(delete, path = "/api/v1/annotations/{id}", tag = "ui", params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 204, description = "Removed"),
        (status = 403, description = "It is somebody else's", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<Uuid>,
) -> ApiResult<StatusCode> {
    let document = ANNOTATIONS.find(&app, &principal, id).await?;
    if !may_remove(&principal, &document) {
        return Err(Problem::forbidden("not_yours", "who wrote it may remove it, and an admin"));
    }
    principal.within(&app).remove_document(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
