//! `config` and `openapi`.

use std::sync::Arc;

use pganalytics_server::{FirstAdmin, Server, Settings, config::Gathered};
use pganalytics_store::{memory::MemoryStore, sql::EngineOptions};
use serde_json::{Map, Value, json};

use super::{Failure, say};

pub(crate) fn config(gathered: &Gathered, as_json: bool) -> Result<(), Failure> {
    if as_json {
        let settings: Map<String, Value> = gathered
            .show()
            .map(|(key, value, origin)| (key.name.to_owned(), json!({"value": value, "from": origin.to_string()})))
            .collect();
        say(&format!("{:#}\n", Value::Object(settings)));
        return Ok(());
    }
    let rows: Vec<_> = gathered.show().collect();
    let name = rows.iter().map(|(key, ..)| key.name.len()).max().unwrap_or_default();
    let value = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or_default().min(40);
    for (key, shown, origin) in rows {
        say(&format!("{:name$}  {shown:value$}  {origin}\n", key.name));
    }
    Ok(())
}

/// The document of a server that keeps nothing: routes do not depend on stores.
pub(crate) async fn openapi() -> Result<(), Failure> {
    let store = MemoryStore::new(EngineOptions::default()).map_err(Failure::new)?;
    let store = Arc::new(store);
    let mut settings = Settings::default();
    settings.first_admin = FirstAdmin::Setup;
    let server = Server::builder().metric_store(store.clone()).meta_store(store).settings(settings).build().await?;
    say(&format!("{}\n", server.openapi()?));
    Ok(())
}
