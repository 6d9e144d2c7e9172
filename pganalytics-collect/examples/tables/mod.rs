//! Many small tables in a database, each with a primary key, another index and a
//! row.

use tokio_postgres::Client;

/// Tables that are made at once.
const AT_ONCE: usize = 100;

/// Makes tables `t0`, `t1`… of the columns `a`, `b` and `c`.
pub(crate) async fn make_tables(client: &Client, count: usize) -> anyhow::Result<()> {
    for from in (0..count).step_by(AT_ONCE) {
        let tables: String = (from..count.min(from + AT_ONCE))
            .map(|n| {
                format!(
                    "create table t{n} (a int primary key, b int, c text); create index on t{n} (b); \
                     insert into t{n} values (1, 1, 'x');"
                )
            })
            .collect();
        client.batch_execute(&format!("do $do$ begin {tables} end $do$")).await?;
    }
    Ok(())
}
