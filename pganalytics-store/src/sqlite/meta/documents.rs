//! What people leave in the UI.

use std::ops::Range;

use async_trait::async_trait;
use pganalytics_core::{TenantId, Timestamp};
use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::SqliteMetaStore;
use crate::{
    document_store::{Document, DocumentStore},
    error::StoreError,
    sqlite::value::Id,
};

const DOCUMENT: &str = "SELECT id, tenant, kind, owner, began, ended, body FROM documents";

fn document_of(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        id: row.get::<_, Id>(0)?.0,
        tenant: TenantId::from_uuid(row.get::<_, Id>(1)?.0),
        kind: row.get(2)?,
        owner: row.get::<_, Id>(3)?.0,
        time: (Timestamp::from_micros(row.get(4)?), Timestamp::from_micros(row.get(5)?)),
        body: row.get(6)?,
    })
}

#[async_trait]
impl DocumentStore for SqliteMetaStore {
    async fn put_document(&self, document: &Document, most: u64) -> Result<bool, StoreError> {
        let new = document.clone();
        self.write("keeping a document", move |connection| {
            let (tenant, owner) = (Id(new.tenant.as_uuid()), Id(new.owner));
            let there = connection.query_row(&format!("{DOCUMENT} WHERE id = ?1"), [Id(new.id)], document_of);
            match there.optional()? {
                Some(old) if (old.tenant, old.owner, &old.kind) != (new.tenant, new.owner, &new.kind) => {
                    return Ok(Err(StoreError::Exists { what: "document", name: new.id.to_string() }));
                }
                Some(_) => {}
                None => {
                    let count: i64 = connection.query_row(
                        "SELECT count(*) FROM documents WHERE tenant = ?1 AND kind = ?2 AND owner = ?3",
                        params![tenant, new.kind, owner],
                        |row| row.get(0),
                    )?;
                    if u64::try_from(count).is_ok_and(|count| count >= most) {
                        return Ok(Ok(false));
                    }
                }
            }
            connection.execute(
                "INSERT OR REPLACE INTO documents (id, tenant, kind, owner, began, ended, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![Id(new.id), tenant, new.kind, owner, new.time.0.as_micros(), new.time.1.as_micros(), new.body],
            )?;
            Ok(Ok(true))
        })
        .await
    }

    async fn document(&self, tenant: TenantId, id: Uuid) -> Result<Option<Document>, StoreError> {
        self.read("reading a document", move |connection| {
            let sql = format!("{DOCUMENT} WHERE tenant = ?1 AND id = ?2");
            connection.prepare_cached(&sql)?.query_row([Id(tenant.as_uuid()), Id(id)], document_of).optional()
        })
        .await
    }

    async fn documents(
        &self,
        tenant: TenantId,
        kind: &str,
        during: Range<Timestamp>,
        limit: u64,
    ) -> Result<Vec<Document>, StoreError> {
        let kind = kind.to_owned();
        self.read("listing documents", move |connection| {
            let sql = format!(
                "{DOCUMENT} WHERE tenant = ?1 AND kind = ?2 AND began < ?3 AND ended >= ?4
                 ORDER BY began DESC, id LIMIT ?5"
            );
            let (start, end) = (during.start.as_micros(), during.end.as_micros());
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![Id(tenant.as_uuid()), kind, end, start, limit], document_of)?.collect()
        })
        .await
    }

    async fn remove_document(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError> {
        self.write("removing a document", move |connection| {
            let removed = connection
                .execute("DELETE FROM documents WHERE tenant = ?1 AND id = ?2", [Id(tenant.as_uuid()), Id(id)])?;
            Ok(Ok(removed > 0))
        })
        .await
    }
}
