//! The demo's users: one task and one connection each.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::{Client, Error};

use super::schema::{CUSTOMERS, INVOICES, PARTITIONS, PRODUCTS, QUIET_AREAS, QUIET_EACH};
use crate::Cluster;
use crate::cluster::connect;
use crate::port::random;

pub(super) fn start(cluster: &Cluster, replica: &Cluster) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let app = |db: &str, name: &str| format!("{}?application_name={name}", cluster.url("app", db));
    for _ in 0..2 {
        tasks.spawn(repeat(app("shop", "web"), web));
    }
    tasks.spawn(repeat(app("shop", "reservation"), reserve));
    tasks.spawn(repeat(app("shop", "warehouse"), count_stock));
    tasks.spawn(repeat(app("shop", "nightly"), wander));
    tasks.spawn(repeat(app("billing", "payments"), pay));
    tasks.spawn(repeat(app("billing", "month-end"), close_month));
    tasks.spawn(repeat(app("analytics", "ingest"), ingest));
    let reporting = |of: &Cluster, name: &str| format!("{}?application_name={name}", of.url("reporting", "analytics"));
    tasks.spawn(repeat(reporting(cluster, "report"), report));
    tasks.spawn(repeat(reporting(replica, "dashboard"), dashboard));
    tasks
}

/// Connects and works for ever; whoever plays with the demo may restart its server.
async fn repeat<W>(url: String, work: fn(Client) -> W)
where
    W: Future<Output = Result<(), Error>>,
{
    loop {
        if let Ok(client) = connect(&url).await {
            let _ = work(client).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn below(limit: u64) -> i32 {
    i32::try_from(random() % limit).unwrap_or(0)
}

/// An id from 1 to `last`; small ones far more often, as popular things are.
fn popular(last: u64) -> i32 {
    let range = 1 + random() % last;
    1 + below(range)
}

async fn pause(from: u64, to: u64) {
    sleep(Duration::from_millis(from + random() % (to - from))).await;
}

/// Customers look around and order.
async fn web(mut client: Client) -> Result<(), Error> {
    let seen = client
        .prepare(
            "UPDATE sessions SET seen = now() WHERE token = (SELECT token FROM sessions WHERE customer = $1 LIMIT 1)",
        )
        .await?;
    let product = client
        .prepare("SELECT p.name, p.price, s.pieces FROM products p JOIN stock s ON s.product = p.id WHERE p.id = $1")
        .await?;
    let history = client.prepare("SELECT o.id, o.state, count(*) FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.customer = $1 GROUP BY o.id ORDER BY o.id DESC LIMIT 10").await?;
    let order = client.prepare("INSERT INTO orders (customer) VALUES ($1) RETURNING id").await?;
    let line =
        client.prepare("INSERT INTO order_lines (order_id, line, product, pieces) VALUES ($1, $2, $3, 1)").await?;
    let take = client.prepare("UPDATE stock SET pieces = pieces - 1 WHERE product = $1").await?;
    let send = client.prepare("UPDATE orders SET state = 'sent' WHERE id = $1").await?;
    loop {
        let customer = popular(CUSTOMERS);
        for _ in 0..4 {
            client.query(&product, &[&popular(PRODUCTS)]).await?;
        }
        client.query(&history, &[&customer]).await?;
        client.execute(&seen, &[&customer]).await?;
        if below(3) == 0 {
            let transaction = client.transaction().await?;
            let id: i64 = transaction.query_one(&order, &[&customer]).await?.get(0);
            // Sorted: two orders that share products must not deadlock.
            let mut products: Vec<_> = (0..=below(3)).map(|_| popular(PRODUCTS)).collect();
            products.sort_unstable();
            for (number, product) in (1_i32..).zip(products) {
                transaction.execute(&line, &[&id, &number, &product]).await?;
                transaction.execute(&take, &[&product]).await?;
            }
            // Some change their mind.
            if below(20) == 0 {
                transaction.rollback().await?;
            } else {
                transaction.execute(&send, &[&id]).await?;
                transaction.commit().await?;
            }
        }
        pause(30, 150).await;
    }
}

/// Holds the row of the most popular product too long, so that the shop waits for it.
async fn reserve(client: Client) -> Result<(), Error> {
    loop {
        client.batch_execute("BEGIN; UPDATE stock SET pieces = pieces - 1 WHERE product = 1").await?;
        pause(1_500, 4_000).await;
        client.batch_execute("COMMIT").await?;
        pause(5_000, 15_000).await;
    }
}

/// Wants the same row, and now and then a whole table.
async fn count_stock(client: Client) -> Result<(), Error> {
    loop {
        client.batch_execute("UPDATE stock SET pieces = 100000 WHERE product <= 3").await?;
        client.query("SELECT count(*) FROM order_lines WHERE pieces > 1", &[]).await?;
        client.batch_execute("DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE placed < now() - interval '1 day' ORDER BY id LIMIT 20)").await?;
        pause(2_000, 6_000).await;
    }
}

/// Touches the quiet tables, each with statements of its own: that is where many texts come from.
async fn wander(client: Client) -> Result<(), Error> {
    loop {
        for area in QUIET_AREAS {
            let number = 1 + random() % (QUIET_EACH as u64);
            let key = 1 + below(20);
            let sql = match below(4) {
                0 => format!("UPDATE {area}_{number} SET changed = now() WHERE id = {key}"),
                1 => format!("SELECT count(*), max(changed) FROM {area}_{number}"),
                _ => format!("SELECT name FROM {area}_{number} WHERE id = {key}"),
            };
            client.batch_execute(&sql).await?;
            pause(200, 800).await;
        }
    }
}

async fn pay(mut client: Client) -> Result<(), Error> {
    let pay = client.prepare("INSERT INTO payments (invoice, amount) VALUES ($1, 10)").await?;
    let book = client.prepare("INSERT INTO ledger (account, change, note) SELECT account, 10, 'payment of invoice ' || id FROM invoices WHERE id = $1").await?;
    let balance = client
        .prepare("UPDATE accounts SET balance = balance + 10 WHERE id = (SELECT account FROM invoices WHERE id = $1)")
        .await?;
    let paid = client.prepare("UPDATE invoices SET paid = NOT paid WHERE id = $1").await?;
    loop {
        let invoice = popular(INVOICES);
        let transaction = client.transaction().await?;
        for step in [&pay, &book, &balance, &paid] {
            transaction.execute(step, &[&invoice]).await?;
        }
        if below(10) == 0 {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
        pause(100, 400).await;
    }
}

/// Leaves a transaction open while somebody thinks.
async fn close_month(client: Client) -> Result<(), Error> {
    loop {
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT account, sum(amount) FROM invoices WHERE NOT paid GROUP BY account")
            .await?;
        pause(8_000, 20_000).await;
        client.batch_execute("SELECT sum(change) FROM ledger; COMMIT").await?;
        pause(10_000, 20_000).await;
    }
}

/// Rows arrive in bursts, most in the newest partitions; old ones are thinned out, so the demo can
/// run for days.
async fn ingest(client: Client) -> Result<(), Error> {
    let insert = client.prepare("INSERT INTO events (part, kind, customer, value) SELECT $1, 'kind ' || i % 13, i, i FROM generate_series(1, $2) i").await?;
    let thin = client.prepare("DELETE FROM events WHERE part = $1 AND at < now() - interval '1 hour'").await?;
    let last = i32::try_from(PARTITIONS).unwrap_or(1);
    loop {
        let rows = 20 + below(100);
        client.execute(&insert, &[&(last - popular(PARTITIONS)), &rows]).await?;
        if below(60) == 0 {
            client.execute(&thin, &[&below(PARTITIONS)]).await?;
        }
        pause(400, 1_200).await;
    }
}

/// The slow ones: a scan of everything, a sort that does not fit in memory, a wait.
async fn report(client: Client) -> Result<(), Error> {
    loop {
        client.query("SELECT kind, date_trunc('hour', at) AS hour, count(*), avg(value) FROM events GROUP BY 1, 2 ORDER BY 3 DESC", &[]).await?;
        pause(5_000, 10_000).await;
        client.query("SELECT customer, value FROM events ORDER BY value, customer OFFSET 60000 LIMIT 10", &[]).await?;
        pause(5_000, 10_000).await;
        client.query("SELECT kind, count(*) FROM events WHERE customer % 7 = 3 GROUP BY kind HAVING pg_sleep(0.1) IS NOT NULL", &[]).await?;
        pause(5_000, 10_000).await;
    }
}

/// Reads on the standby.
async fn dashboard(client: Client) -> Result<(), Error> {
    let latest = client
        .prepare("SELECT kind, count(*) FROM events WHERE at > now() - interval '1 minute' GROUP BY kind")
        .await?;
    loop {
        client.query(&latest, &[]).await?;
        pause(500, 1_500).await;
    }
}
