//! `/api/v1/docs`: a small page that browses the OpenAPI document.

use axum::{
    http::header,
    response::IntoResponse,
    routing::{self, MethodRouter},
};

use crate::{
    auth::{permission::Permission, routes::Routes},
    edge::PAGE_POLICY,
    rate::Class,
    state::App,
};

fn file(kind: &'static str, text: &'static str) -> MethodRouter<App> {
    routing::get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (headers, text).into_response()
    })
}

pub(crate) fn routes(routes: Routes) -> Routes {
    let open = (Permission::Public, Class::Page);
    routes
        .page(open.0, open.1, "/api/v1/docs", file("text/html; charset=utf-8", include_str!("docs.html")))
        .page(open.0, open.1, "/api/v1/docs/docs.js", file("text/javascript; charset=utf-8", include_str!("docs.js")))
        .page(open.0, open.1, "/api/v1/docs/docs.css", file("text/css; charset=utf-8", include_str!("docs.css")))
}
