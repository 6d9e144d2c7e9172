//! How many bytes of bodies may be in memory at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::{error::Problem, settings::IngestLimits};

/// Bytes are counted in pieces of this size.
const PIECE: usize = 16 << 10;

/// Bytes in flight, in all and by sender.
pub(crate) struct Admission {
    pieces: Arc<Semaphore>,
    all: usize,
    share: usize,
    taken: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// A place for some bytes; it is free again when this is dropped.
pub(crate) struct Admitted {
    pieces: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<Uuid, usize>>>,
    share: usize,
    sender: Uuid,
    held: Vec<OwnedSemaphorePermit>,
    count: usize,
}

impl Admission {
    pub(crate) fn new(limits: &IngestLimits) -> Self {
        let all = limits.bytes_in_flight.div_ceil(PIECE).clamp(1, Semaphore::MAX_PERMITS);
        // The largest body must always have a chance, as it came and expanded: refused
        // for want of room it would come again for ever.
        let body = limits.max_body_bytes.saturating_add(limits.max_expanded_bytes).div_ceil(PIECE);
        let share = limits.bytes_per_collector.div_ceil(PIECE).max(body).min(all);
        Self { pieces: Arc::new(Semaphore::new(all)), all, share, taken: Arc::default() }
    }

    /// A place for the first `bytes` of a sender's body.
    pub(crate) fn admit(&self, sender: Uuid, bytes: usize) -> Result<Admitted, Problem> {
        let mut admitted = Admitted {
            pieces: Arc::clone(&self.pieces),
            taken: Arc::clone(&self.taken),
            share: self.share,
            sender,
            held: Vec::with_capacity(1),
            count: 0,
        };
        admitted.grow_to(bytes)?;
        Ok(admitted)
    }

    /// Bytes that are in flight now, rounded up.
    pub(crate) fn in_flight(&self) -> usize {
        self.all.saturating_sub(self.pieces.available_permits()) * PIECE
    }
}

impl Admitted {
    /// Makes the place large enough for `bytes` in all.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.div_ceil(PIECE).saturating_sub(self.count);
        if more == 0 {
            return Ok(());
        }
        {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let mine = taken.entry(self.sender).or_default();
            if *mine + more > self.share {
                if *mine == 0 {
                    taken.remove(&self.sender);
                }
                return Err(Problem::too_many("too_much_in_flight", "this collector sends too much at once", 1));
            }
            *mine += more;
            self.count += more;
        }
        let pieces = u32::try_from(more).unwrap_or(u32::MAX);
        match Arc::clone(&self.pieces).try_acquire_many_owned(pieces) {
            Ok(permit) => {
                self.held.push(permit);
                Ok(())
            }
            // Dropping gives back what was counted for the sender.
            Err(_) => Err(Problem::unavailable("overloaded", "the server has as much to take in as it can; come back")),
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = taken.get_mut(&self.sender) {
            *mine = mine.saturating_sub(self.count);
            if *mine == 0 {
                taken.remove(&self.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::StatusCode;

    use super::*;

    fn admission() -> Admission {
        let limits = IngestLimits {
            max_body_bytes: 4 * PIECE,
            max_expanded_bytes: 4 * PIECE,
            bytes_in_flight: 20 * PIECE,
            bytes_per_collector: 8 * PIECE,
            ..IngestLimits::default()
        };
        Admission::new(&limits)
    }

    fn refused(result: Result<Admitted, Problem>) -> StatusCode {
        let problem = result.err().unwrap();
        assert!(problem.retry_after_secs.is_some());
        problem.status
    }

    #[test]
    fn one_sender_gets_its_share_and_all_no_more_than_there_is() {
        let admission = admission();
        let (a, b, c) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let first = admission.admit(a, 8 * PIECE).unwrap();
        assert_eq!(refused(admission.admit(a, 1)), StatusCode::TOO_MANY_REQUESTS);
        let _second = admission.admit(b, 8 * PIECE).unwrap();
        assert_eq!(refused(admission.admit(c, 5 * PIECE)), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(admission.in_flight(), 16 * PIECE);
        drop(first);
        admission.admit(c, 5 * PIECE).unwrap();
        admission.admit(a, 8 * PIECE).unwrap();
    }

    #[test]
    fn everything_is_given_back() {
        let admission = admission();
        let sender = Uuid::from_u128(1);
        for _ in 0..100 {
            let mut admitted = admission.admit(sender, 1).unwrap();
            admitted.grow_to(3 * PIECE).unwrap();
            assert!(admitted.grow_to(9 * PIECE).is_err());
        }
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.taken.lock().unwrap().is_empty());
    }
}
