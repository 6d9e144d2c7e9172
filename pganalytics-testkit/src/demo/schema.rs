//! The demo's databases.

use anyhow::Context;

use crate::Cluster;

/// Tables that real systems are full of: they exist, are looked at now and then, and mostly sleep.
pub(super) const QUIET_AREAS: [&str; 8] =
    ["campaign", "catalog", "delivery", "import", "loyalty", "returns", "search", "supplier"];
/// Quiet tables in each area of each database that has them.
pub(super) const QUIET_EACH: usize = 12;

pub(super) const CUSTOMERS: u64 = 4_000;
pub(super) const PRODUCTS: u64 = 1_500;
pub(super) const INVOICES: u64 = 5_000;
pub(super) const PARTITIONS: u64 = 48;

const SHOP: &str = "
CREATE TABLE customers (id int PRIMARY KEY, email text NOT NULL, city text, joined timestamptz DEFAULT now());
INSERT INTO customers SELECT i, 'customer' || i || '@example.com', 'city ' || i % 97 FROM generate_series(1, 4000) i;
CREATE INDEX customers_city ON customers (city);
CREATE INDEX customers_email_never_used ON customers (lower(email));
CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2) NOT NULL, words text);
INSERT INTO products SELECT i, 'product ' || i, 1 + i % 500, repeat(md5(i::text), 8) FROM generate_series(1, 1500) i;
CREATE TABLE stock (product int PRIMARY KEY, pieces int NOT NULL);
INSERT INTO stock SELECT i, 100000 FROM generate_series(1, 1500) i;
CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL, state text NOT NULL DEFAULT 'new', placed timestamptz NOT NULL DEFAULT now());
INSERT INTO orders (customer, state, placed) SELECT 1 + i % 4000, 'sent', now() - i * interval '1 minute' FROM generate_series(1, 20000) i;
CREATE INDEX orders_customer ON orders (customer);
CREATE INDEX orders_open ON orders (placed) WHERE state = 'new';
CREATE TABLE order_lines (order_id bigint NOT NULL, line int NOT NULL, product int NOT NULL, pieces int NOT NULL, PRIMARY KEY (order_id, line));
INSERT INTO order_lines SELECT o, l, 1 + (o * 7 + l) % 1500, l FROM generate_series(1, 20000) o, generate_series(1, 2) l;
CREATE TABLE sessions (token uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer int NOT NULL, seen timestamptz NOT NULL DEFAULT now());
INSERT INTO sessions (customer) SELECT 1 + i % 4000 FROM generate_series(1, 2000) i;
CREATE INDEX sessions_seen ON sessions (seen);
";

const BILLING: &str = "
CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, balance numeric(14, 2) NOT NULL);
INSERT INTO accounts SELECT i, 'owner ' || i, 10000 FROM generate_series(1, 1000) i;
CREATE TABLE invoices (id int PRIMARY KEY, account int NOT NULL REFERENCES accounts, amount numeric(12, 2) NOT NULL, paid bool NOT NULL DEFAULT false);
INSERT INTO invoices SELECT i, 1 + i % 1000, i % 300 FROM generate_series(1, 5000) i;
CREATE INDEX invoices_unpaid ON invoices (account) WHERE NOT paid;
CREATE TABLE payments (id bigserial PRIMARY KEY, invoice int NOT NULL, amount numeric(12, 2) NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE ledger (id bigserial PRIMARY KEY, account int NOT NULL, change numeric(12, 2) NOT NULL, note text);
CREATE INDEX ledger_account ON ledger (account);
";

const ANALYTICS: &str = "
CREATE TABLE events (at timestamptz NOT NULL DEFAULT now(), part int NOT NULL, kind text NOT NULL, customer int NOT NULL, value float8 NOT NULL) PARTITION BY LIST (part);
DO $$ BEGIN
  FOR i IN 0..47 LOOP
    EXECUTE format('CREATE TABLE events_%s PARTITION OF events FOR VALUES IN (%s)', lpad(i::text, 2, '0'), i);
  END LOOP;
END $$;
INSERT INTO events SELECT now() - i * interval '1 second', i % 48, 'kind ' || i % 13, i % 4000, i % 991 FROM generate_series(1, 120000) i;
CREATE INDEX events_at ON events (at);
CREATE TABLE daily_sales (day date PRIMARY KEY, orders bigint, value float8);
";

/// One statement for all quiet tables of a database: a transaction each would be slow to start.
fn quiet() -> String {
    let areas: Vec<_> = QUIET_AREAS.iter().map(|area| format!("'{area}'")).collect();
    format!(
        "DO $$ DECLARE area text; BEGIN
           FOREACH area IN ARRAY ARRAY[{}] LOOP
             FOR i IN 1..{QUIET_EACH} LOOP
               EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY, name text, changed timestamptz DEFAULT now())', area || '_' || i);
               EXECUTE format('INSERT INTO %I SELECT n, md5(n::text) FROM generate_series(1, %s) n', area || '_' || i, 20 * i);
               EXECUTE format('CREATE INDEX ON %I (name)', area || '_' || i);
             END LOOP;
           END LOOP;
         END $$;",
        areas.join(", ")
    )
}

pub(super) async fn create(cluster: &Cluster) -> anyhow::Result<()> {
    let password = cluster.password();
    cluster
        .sql(
            "postgres",
            &format!(
                "CREATE ROLE app LOGIN PASSWORD '{password}'; CREATE ROLE reporting LOGIN PASSWORD '{password}'; \
                 GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO monitor"
            ),
        )
        .await?;
    cluster.sql("postgres", "CREATE EXTENSION pg_buffercache").await?;
    // For `pg_bloat_table_exact`, in each database to come and in those that are there.
    for db in ["template1", "postgres"] {
        cluster.sql(db, "CREATE EXTENSION pgstattuple").await?;
    }
    // One after the other: each copies template1, which wants to be alone for that.
    for db in ["shop", "billing", "analytics"] {
        // A message of its own, outside of any transaction.
        cluster.sql("postgres", &format!("CREATE DATABASE {db}")).await?;
    }
    tokio::try_join!(
        fill(cluster, "shop", SHOP),
        fill(cluster, "billing", BILLING),
        fill(cluster, "analytics", ANALYTICS)
    )?;
    Ok(())
}

async fn fill(cluster: &Cluster, db: &str, own: &str) -> anyhow::Result<()> {
    let rights = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
                  GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
                  GRANT SELECT ON ALL TABLES IN SCHEMA public TO reporting; ANALYZE";
    for sql in [own, &quiet(), rights] {
        cluster.sql(db, sql).await.with_context(|| format!("fill {db}"))?;
    }
    Ok(())
}
