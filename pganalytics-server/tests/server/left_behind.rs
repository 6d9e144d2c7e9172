//! What people leave in the UI: annotations, preferences, saved queries.

use pganalytics_server::auth::scope::Scope;
use pganalytics_store::meta_store::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fixture::{Running, problem, read, start};

async fn session(server: &Running, name: &str, role: Role) -> String {
    let password = server.user(name, role).await;
    let answer = read(server.login(name, &password).await, StatusCode::OK).await;
    answer["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pipeline_says_what_it_deployed_and_nothing_else() {
    let server = start().await;
    let editor = session(&server, "editor", Role::User).await;
    let token = server.admin.add_token("editor", "ci", [Scope::Annotate]).await.unwrap().expose().clone();
    let new = json!({"title": " shop 1.4 ", "time": "2026-01-01T10:00:00Z", "tags": ["deploy"], "url": "https://ci/7"});
    let send = |token: &str, body: &Value| server.post("annotations").bearer_auth(token).json(body).send();
    let made = read(send(&token, &new).await.unwrap(), StatusCode::CREATED).await;
    assert_eq!((&made["title"], &made["author"], &made["mine"]), (&json!("shop 1.4"), &json!("editor"), &json!(true)));
    // The token is for that only.
    for path in ["annotations", "servers", "preferences", "saved-queries"] {
        problem(server.get(path).bearer_auth(&token).send().await.unwrap(), StatusCode::FORBIDDEN).await;
    }
    let viewer = session(&server, "viewer", Role::Viewer).await;
    problem(send(&viewer, &new).await.unwrap(), StatusCode::FORBIDDEN).await;

    let list = async |query: &str| {
        let answer = server.get(&format!("annotations?{query}")).bearer_auth(&viewer).send().await.unwrap();
        read(answer, StatusCode::OK).await["data"].as_array().unwrap().clone()
    };
    let about = json!({"title": "maintenance", "time": "2026-01-01T09:00:00Z", "until": "2026-01-01T11:00:00Z",
        "server_id": "98f6d0e9-9ee0-57e2-9fdf-5ad297ddc0ba"});
    read(send(&editor, &about).await.unwrap(), StatusCode::CREATED).await;
    let in_minute = "from=2026-01-01T10:00:00Z&to=2026-01-01T10:01:00Z";
    let titles =
        |found: &[Value]| found.iter().map(|each| each["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(titles(&list(in_minute).await), ["shop 1.4", "maintenance"]);
    assert_eq!(list(in_minute).await[0]["mine"], false);
    let other = format!("{in_minute}&server_id=00000000-0000-4000-8000-000000000000");
    assert_eq!(titles(&list(&other).await), ["shop 1.4"]);
    assert_eq!(list("from=2026-01-01T11:00:00.000001Z").await.len(), 0);

    let remove = |token: &str| {
        let path = format!("annotations/{}", made["id"].as_str().unwrap());
        server.request(Method::DELETE, &path).bearer_auth(token).send()
    };
    let other = session(&server, "other", Role::User).await;
    assert_eq!(problem(remove(&other).await.unwrap(), StatusCode::FORBIDDEN).await.0, "not_yours");
    assert_eq!(remove(&token).await.unwrap().status(), StatusCode::NO_CONTENT);
    problem(remove(&server.admin_token().await).await.unwrap(), StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn an_annotation_that_makes_no_sense_is_refused() {
    let server = start().await;
    let admin = server.admin_token().await;
    for (body, code) in [
        (json!({"title": " "}), "bad_title"),
        (json!({"title": "a\nb"}), "bad_title"),
        (json!({"title": "x".repeat(201)}), "bad_title"),
        (json!({"title": "x", "url": "javascript:alert(1)"}), "bad_url"),
        (json!({"title": "x", "tags": vec!["t"; 17]}), "bad_tags"),
        (json!({"title": "x", "time": "2026-01-01T10:00:00Z", "until": "2026-01-01T09:00:00Z"}), "bad_until"),
        (json!({"title": "x", "server": "mistyped"}), "bad_body"),
    ] {
        let answer = server.post("annotations").bearer_auth(&admin).json(&body).send().await.unwrap();
        assert_eq!(problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await.0, code, "{body}");
    }
}

#[tokio::test]
async fn preferences_are_each_persons_own() {
    let server = start().await;
    let [one, two] = [session(&server, "one", Role::Viewer).await, session(&server, "two", Role::Viewer).await];
    let put =
        |token: &str, body: Value| server.request(Method::PUT, "preferences").bearer_auth(token).json(&body).send();
    let of = async |token: &str| {
        let boot = read(server.get("ui/bootstrap").bearer_auth(token).send().await.unwrap(), StatusCode::OK).await;
        let own = read(server.get("preferences").bearer_auth(token).send().await.unwrap(), StatusCode::OK).await;
        assert_eq!(boot["user"]["preferences"], own);
        own
    };
    assert_eq!(of(&one).await, json!({}));
    read(put(&one, json!({"theme": "dark", "keys": false, "rows": 5})).await.unwrap(), StatusCode::OK).await;
    read(put(&one, json!({"theme": "light"})).await.unwrap(), StatusCode::OK).await;
    assert_eq!((of(&one).await, of(&two).await), (json!({"theme": "light"}), json!({})));
    for bad in [json!({"a": {"b": 1}}), json!({"a": "x".repeat(300)}), json!({"": true}), json!([1])] {
        problem(put(&one, bad).await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    assert_eq!(of(&one).await, json!({"theme": "light"}));
}

#[tokio::test]
async fn saved_queries_are_seen_by_others_where_they_are_shared() {
    let server = start().await;
    let [one, two] = [session(&server, "one", Role::User).await, session(&server, "two", Role::Viewer).await];
    let new = |name: &str, shared: bool| json!({"name": name, "sql": "select $1", "params": ["x"], "shared": shared});
    let send = |token: &str, body: Value| server.post("saved-queries").bearer_auth(token).json(&body).send();
    let own = read(send(&one, new("own", false)).await.unwrap(), StatusCode::CREATED).await;
    let shared = read(send(&one, new("shared", true)).await.unwrap(), StatusCode::CREATED).await;
    let names = async |token: &str| {
        let answer = server.get("saved-queries").bearer_auth(token).send().await.unwrap();
        let list = read(answer, StatusCode::OK).await["data"].as_array().unwrap().clone();
        list.iter().map(|each| (each["name"].as_str().unwrap().to_owned(), each["mine"] == true)).collect::<Vec<_>>()
    };
    assert_eq!(names(&one).await, [("shared".to_owned(), true), ("own".to_owned(), true)]);
    assert_eq!(names(&two).await, [("shared".to_owned(), false)]);

    let path = |query: &Value| format!("saved-queries/{}", query["id"].as_str().unwrap());
    let put = |token: &str, query: &Value, body: Value| {
        server.request(Method::PUT, &path(query)).bearer_auth(token).json(&body).send()
    };
    problem(put(&two, &own, new("taken", true)).await.unwrap(), StatusCode::NOT_FOUND).await;
    assert_eq!(
        problem(put(&two, &shared, new("taken", true)).await.unwrap(), StatusCode::FORBIDDEN).await.0,
        "not_yours"
    );
    read(put(&one, &shared, new("no longer", false)).await.unwrap(), StatusCode::OK).await;
    assert_eq!(names(&two).await, []);
    let remove = |token: &str, query: &Value| server.request(Method::DELETE, &path(query)).bearer_auth(token).send();
    problem(remove(&two, &own).await.unwrap(), StatusCode::NOT_FOUND).await;
    assert_eq!(remove(&one, &own).await.unwrap().status(), StatusCode::NO_CONTENT);
    for (body, code) in [
        (json!({"name": " ", "sql": "select 1"}), "bad_name"),
        (json!({"name": "x", "sql": " "}), "bad_sql"),
        (json!({"name": "x", "sql": "x".repeat(65_537)}), "bad_sql"),
        (json!({"name": "x", "sql": "select $1", "params": [[1]]}), "bad_params"),
    ] {
        assert_eq!(problem(send(&one, body).await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await.0, code);
    }
    // What is kept for one kind is no other kind's.
    let as_note = server.request(Method::DELETE, &format!("annotations/{}", shared["id"].as_str().unwrap()));
    problem(as_note.bearer_auth(&one).send().await.unwrap(), StatusCode::NOT_FOUND).await;
}
