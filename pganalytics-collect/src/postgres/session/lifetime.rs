//! A session from its login to the moment when the server has let it go.
//!
//! Its place in the budget is held all the while, also when nobody waits for it any more: a
//! backend that hangs in its login or in a statement does not see that its client has gone,
//! and would else be joined by another at each visit. What it still computes is cancelled.

use std::{
    future::poll_fn,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, oneshot},
    time::{sleep, timeout},
};
use tokio_postgres::{CancelToken, Client, Config, Connection, Error, tls::TlsConnect};

use super::{connect::open, fault::one_line, stream::Stream};
use crate::{cpu_time::CpuTime, postgres::settings::Host};

/// A session that is not busy goes within this time.
const AT_ONCE: Duration = Duration::from_millis(250);
/// Longest time for a request to cancel.
const CANCEL: Duration = Duration::from_secs(5);

/// What a session holds, and until when at most.
pub(crate) struct Lifetime {
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
    /// How long it may take to go once nobody waits for it.
    pub(crate) longest: Duration,
    /// Ends when nobody uses the session any more.
    pub(crate) abandoned: oneshot::Receiver<()>,
    /// Why it ended, once it has.
    pub(crate) ended: Arc<OnceLock<String>>,
    pub(crate) cpu: Arc<CpuTime>,
    pub(crate) host: Host,
}

impl Lifetime {
    /// Logs in. `None`: there was no answer within the longest time. Who stops waiting leaves
    /// the login to its end, with its place in the budget and its `turn`; a session that comes
    /// of it is closed at once. Two of `tls`: one for the session and one for its cancelling.
    pub(crate) async fn begin<T>(
        self,
        driver: Config,
        stream: Stream,
        [tls, tls_of_cancel]: [T; 2],
        turn: OwnedSemaphorePermit,
    ) -> Option<Result<Client, Error>>
    where
        T: TlsConnect<Stream> + Send + 'static,
        T::Stream: Send + 'static,
        T::Future: Send,
    {
        let (told, said) = oneshot::channel();
        tokio::spawn(async move {
            let login = timeout(self.longest, driver.connect_raw(stream, tls)).await;
            drop(turn);
            match login {
                Ok(Ok((client, connection))) => {
                    let cancel = self.cancelling(client.cancel_token(), tls_of_cancel);
                    // Who does not wait any more drops the client, which ends the session.
                    let _ = told.send(Ok(client));
                    self.last(connection, cancel).await;
                }
                Ok(Err(error)) => drop(told.send(Err(error))),
                Err(_) => {}
            }
        });
        said.await.ok()
    }

    /// Asks the server to stop what the session is doing.
    fn cancelling<T>(&self, token: CancelToken, tls: T) -> impl Future<Output = ()> + Send + use<T>
    where
        T: TlsConnect<Stream> + Send + 'static,
        T::Stream: Send,
        T::Future: Send,
    {
        let host = self.host.clone();
        async move {
            let cancel = async {
                if let Ok(stream) = open(&host).await {
                    let _ = token.cancel_query_raw(stream, tls).await;
                }
            };
            let _ = timeout(CANCEL, cancel).await;
        }
    }

    /// Runs a connection until both sides have closed it.
    async fn last<T>(self, mut connection: Connection<Stream, T>, cancel: impl Future<Output = ()> + Send)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { permit, longest, abandoned, ended, cpu, .. } = self;
        let zombie = async {
            let _ = abandoned.await;
            sleep(AT_ONCE).await;
            cancel.await;
            sleep(longest).await;
        };
        let work = async {
            loop {
                match poll_fn(|cx| connection.poll_message(cx)).await {
                    // Notices may quote data; nobody needs them.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        break error.as_db_error().map_or_else(|| error.to_string(), |said| one_line(said.message()));
                    }
                    None => break String::from("it was closed"),
                }
            }
        };
        let served = async {
            tokio::select! {
                why = work => why,
                () = zombie => String::from("the server did not close it in time"),
            }
        };
        let _ = ended.set(cpu.measure(served).await);
        drop(permit);
    }
}
