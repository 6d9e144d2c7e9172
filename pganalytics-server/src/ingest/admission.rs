//! How many bytes of pushes may be in memory at once: as they came, expanded,
//! and decoded.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::StatusCode;
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
    held: Option<OwnedSemaphorePermit>,
    /// Pieces that are counted for the sender.
    count: usize,
    bytes: usize,
}

impl Admission {
    pub(crate) fn new(limits: &IngestLimits) -> Self {
        let all = limits.bytes_in_flight.div_ceil(PIECE).clamp(1, Semaphore::MAX_PERMITS);
        let share = limits.bytes_per_collector.div_ceil(PIECE).clamp(1, all);
        Self { pieces: Arc::new(Semaphore::new(all)), all, share, taken: Arc::default() }
    }

    /// A place for the first `bytes` of a sender's push.
    pub(crate) fn admit(&self, sender: Uuid, bytes: usize) -> Result<Admitted, Problem> {
        let mut admitted = Admitted {
            pieces: Arc::clone(&self.pieces),
            taken: Arc::clone(&self.taken),
            share: self.share,
            sender,
            held: None,
            count: 0,
            bytes: 0,
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
    /// Bytes that there is a place for.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the place larger by `more` bytes.
    pub(crate) fn add(&mut self, more: usize) -> Result<(), Problem> {
        self.grow_to(self.bytes.saturating_add(more))
    }

    /// Makes the place large enough for `bytes` in all.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        let wanted = bytes.div_ceil(PIECE);
        if wanted > self.share {
            // It would not fit if nothing else were there: no retry will help.
            let detail = format!(
                "the push would take {bytes} bytes of memory, as it came, expanded and decoded, \
                 and a collector may have {}; send fewer frames at once",
                self.share * PIECE
            );
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "push_too_large", detail));
        }
        let more = wanted.saturating_sub(self.count);
        if more > 0 {
            self.take(more)?;
        }
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }

    fn take(&mut self, more: usize) -> Result<(), Problem> {
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
                match &mut self.held {
                    Some(held) => held.merge(permit),
                    None => self.held = Some(permit),
                }
                Ok(())
            }
            Err(_) => {
                self.give_back(more);
                Err(Problem::unavailable("overloaded", "the server has as much to take in as it can; come back"))
            }
        }
    }

    /// Gives back what is not needed for `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            return;
        }
        self.bytes = bytes;
        let surplus = self.count.saturating_sub(bytes.div_ceil(PIECE));
        if surplus > 0 {
            drop(self.held.as_mut().and_then(|held| held.split(surplus)));
            self.give_back(surplus);
        }
    }

    fn give_back(&mut self, pieces: usize) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.count = self.count.saturating_sub(pieces);
        if let Some(mine) = taken.get_mut(&self.sender) {
            *mine = mine.saturating_sub(pieces);
            if *mine == 0 {
                taken.remove(&self.sender);
            }
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.give_back(self.count);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn admission() -> Admission {
        let limits =
            IngestLimits { bytes_in_flight: 20 * PIECE, bytes_per_collector: 8 * PIECE, ..IngestLimits::default() };
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
    fn what_can_never_fit_is_not_told_to_come_back() {
        let problem = admission().admit(Uuid::from_u128(1), 8 * PIECE + 1).err().unwrap();
        assert_eq!((problem.status, problem.code), (StatusCode::PAYLOAD_TOO_LARGE, "push_too_large"));
        assert!(problem.retry_after_secs.is_none());
    }

    #[test]
    fn everything_is_given_back() {
        let admission = admission();
        let sender = Uuid::from_u128(1);
        for _ in 0..100 {
            let mut admitted = admission.admit(sender, 1).unwrap();
            admitted.grow_to(3 * PIECE).unwrap();
            admitted.add(2 * PIECE).unwrap();
            assert_eq!(admission.in_flight(), 5 * PIECE);
            admitted.shrink_to(PIECE + 1);
            assert_eq!((admitted.bytes(), admission.in_flight()), (PIECE + 1, 2 * PIECE));
            let other = admission.admit(sender, 6 * PIECE).unwrap();
            assert!(admitted.grow_to(8 * PIECE).is_err());
            drop(other);
            admitted.grow_to(8 * PIECE).unwrap();
            assert!(admitted.grow_to(9 * PIECE).is_err());
        }
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.taken.lock().unwrap().is_empty());
    }
}
