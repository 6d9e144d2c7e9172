//! Pieces of an answer on their way from its query to its connection.
//!
//! A channel would keep what is in it until its reader looks; this forgets it as soon
//! as the reader has stalled for too long.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use bytes::Bytes;
use futures::{Stream, stream};
use hyper::body::Frame;
use tokio::sync::Notify;

type Item = Result<Frame<Bytes>, io::Error>;

#[derive(Default)]
struct Pieces {
    waiting: VecDeque<Item>,
    ended: bool,
    reader: Option<Waker>,
}

/// Where pieces wait for their reader.
#[derive(Default)]
pub(super) struct Queue {
    pieces: Mutex<Pieces>,
    gone: Notify,
}

/// Tells the writer that nobody reads any more.
struct Reader(Arc<Queue>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.lock().waiting.clear();
        self.0.gone.notify_one();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a piece.
    pub(super) fn push(&self, frame: Frame<Bytes>) {
        let mut pieces = self.lock();
        pieces.waiting.push_back(Ok(frame));
        if let Some(reader) = pieces.reader.take() {
            reader.wake();
        }
    }

    /// No more comes. After an error the reader gets that at once, in place of what
    /// still waits.
    pub(super) fn end(&self, how: Result<(), io::Error>) {
        let mut pieces = self.lock();
        if let Err(error) = how {
            pieces.waiting.clear();
            pieces.waiting.push_back(Err(error));
        }
        pieces.ended = true;
        if let Some(reader) = pieces.reader.take() {
            reader.wake();
        }
    }

    /// Waits until the reader is gone.
    pub(super) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// The reader's side; there is one.
    pub(super) fn read(self: &Arc<Self>) -> impl Stream<Item = Item> + Send + use<> {
        let reader = Reader(Arc::clone(self));
        stream::poll_fn(move |context| {
            let mut pieces = reader.0.lock();
            if let Some(piece) = pieces.waiting.pop_front() {
                return Poll::Ready(Some(piece));
            }
            if pieces.ended {
                return Poll::Ready(None);
            }
            pieces.reader = Some(context.waker().clone());
            Poll::Pending
        })
    }
}
