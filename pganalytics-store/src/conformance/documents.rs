//! What people leave in the UI.

use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    Check, Property,
    fixture::{at, tenant},
    people::is_exists,
};
use crate::{document_store::Document, meta_store::MetaStore};

fn note(owner: u128, began: i64, ended: i64) -> Document {
    Document {
        id: Uuid::new_v4(),
        tenant: tenant(1),
        kind: "annotation".to_owned(),
        owner: Uuid::from_u128(owner),
        time: (at(began), at(ended)),
        body: "{\"title\":\"it's \u{202e}here\"}".to_owned(),
    }
}

pub(super) async fn documents_are_found_by_their_time<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("documents are found by the time that they are about, by their tenant only");
    let [early, long, late] = [note(1, 10, 10), note(2, 5, 25), note(1, 30, 30)];
    let foreign = Document { tenant: tenant(2), ..note(1, 10, 30) };
    let other = Document { kind: "saved_query".to_owned(), ..note(1, 10, 30) };
    for each in [&early, &long, &late, &foreign, &other] {
        property.holds(property.ok(store.put_document(each, 10).await)?, || "one was not kept".to_owned())?;
        property.equal("by id", &property.ok(store.document(each.tenant, each.id).await)?.as_ref(), &Some(each))?;
    }
    for (from, to, limit, expected) in [
        (0, 100, 9, vec![&late, &early, &long]),
        (10, 30, 9, vec![&early, &long]),
        (11, 31, 9, vec![&late, &long]),
        (25, 26, 9, vec![&long]),
        (26, 30, 9, vec![]),
        (0, 100, 1, vec![&late]),
    ] {
        let found = property.ok(store.documents(tenant(1), "annotation", at(from)..at(to), limit).await)?;
        property.equal(&format!("from {from} to {to}"), &found.iter().collect::<Vec<_>>(), &expected)?;
    }
    property.equal("another tenant's", &property.ok(store.document(tenant(2), early.id).await)?, &None)?;
    property.equal("removing theirs", &property.ok(store.remove_document(tenant(2), early.id).await)?, &false)?;
    property.equal("removing", &property.ok(store.remove_document(tenant(1), early.id).await)?, &true)?;
    property.equal("removing again", &property.ok(store.remove_document(tenant(1), early.id).await)?, &false)?;
    property.equal("the removed one", &property.ok(store.document(tenant(1), early.id).await)?, &None)
}

pub(super) async fn a_document_stays_its_owners<S: MetaStore + 'static>(store: Arc<S>) -> Check {
    let property = Property("a document is changed by its owner only, and each has so many");
    let first = note(1, 1, 1);
    property.ok(store.put_document(&first, 2).await)?;
    let changed = Document { body: "other".to_owned(), time: (at(2), at(9)), ..first.clone() };
    property.equal("a change", &property.ok(store.put_document(&changed, 1).await)?, &true)?;
    property.equal("changed", &property.ok(store.document(tenant(1), first.id).await)?, &Some(changed.clone()))?;
    for taken in [
        Document { owner: Uuid::from_u128(2), ..first.clone() },
        Document { tenant: tenant(2), ..first.clone() },
        Document { kind: "preferences".to_owned(), ..first.clone() },
    ] {
        property.holds(is_exists(&store.put_document(&taken, 10).await), || "it was taken over".to_owned())?;
    }
    property.equal("as it was", &property.ok(store.document(tenant(1), first.id).await)?, &Some(changed))?;

    let mut writers = JoinSet::new();
    for _ in 0..12 {
        let store = Arc::clone(&store);
        writers.spawn(async move { store.put_document(&note(1, 3, 3), 4).await });
    }
    let mut kept = 1;
    while let Some(writer) = writers.join_next().await {
        kept += usize::from(property.ok(property.ok(writer)?)?);
    }
    property.equal("of one owner, whoever writes at once", &kept, &4)?;
    property.equal("another owner's", &property.ok(store.put_document(&note(2, 3, 3), 4).await)?, &true)
}
