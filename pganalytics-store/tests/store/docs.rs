//! The SQL that our documents show works: people copy it at 3 a.m.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use pganalytics_core::{TenantId, catalog::Catalog};
use pganalytics_store::{
    MetricStore,
    memory::MemoryStore,
    sql::{EngineOptions, SqlGuard, SqlLimits, SqlPrincipal},
};

/// All documents, wherever they are below `docs`.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The statements in the blocks of SQL of a document.
fn statements(text: &str) -> Vec<String> {
    let blocks = text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let code = blocks.map(|block| {
        let lines = block.lines().map(|line| line.split("--").next().unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    });
    let statements = code.flat_map(|block| block.split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>());
    statements.filter(|statement| !statement.is_empty()).collect()
}

/// Whether a statement is for us and not for `psql` on the watched server.
fn is_ours(statement: &str) -> bool {
    let words: Vec<&str> = statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let begins = ["select", "with"].iter().any(|word| words[0].eq_ignore_ascii_case(word));
    begins
        && words.iter().any(|word| {
            word.ends_with("_latest")
                || word.ends_with("_delta")
                || word.starts_with("pg_log")
                || ["pg_event", "pg_wait_sampling"].contains(word)
        })
}

#[tokio::test]
async fn every_statement_in_the_documents_can_be_asked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut files = Vec::new();
    documents(&root, &mut files);
    files.sort();
    let store = Arc::new(MemoryStore::new(EngineOptions::default()).unwrap());
    let schemas = Catalog::builtin().iter().map(|measurement| Arc::clone(measurement.schema()));
    let guard = SqlGuard::new(SqlLimits::default()).knowing(schemas);
    let (mut asked, mut wrong) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for statement in statements(&text).iter().filter(|statement| is_ours(statement)) {
            // Words in capitals stand for what the reader puts there.
            let statement = statement.replace("ROOT_PID", "1");
            if statement.contains("app_orders_latest") {
                continue; // a measurement of the reader's own
            }
            asked += 1;
            let answer = match guard.check(&statement, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT)) {
                Ok(query) => match Arc::clone(&store).query(query).await {
                    Ok(stream) => stream.into_answer().await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                },
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = answer {
                wrong.push(format!("{}: {error}\n{statement}\n", file.strip_prefix(&root).unwrap().display()));
            }
        }
    }
    assert!(asked > 10, "only {asked} statements were found");
    assert!(wrong.is_empty(), "{} of {asked} statements fail:\n{}", wrong.len(), wrong.join("\n"));
}
