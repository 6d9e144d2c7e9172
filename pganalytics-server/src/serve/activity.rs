//! What one connection has done and is doing: its bytes, its requests and the
//! task that drives it all write here, and the deadlines are read from here.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;

use super::{
    bucket::Bucket,
    frames::{self, FrameHead, kind},
    limit::Limit,
    places::Place,
};
use crate::settings::ConnectionLimits;

/// Requests that are under way when a connection has its age get this much more.
const AGE_GRACE: Duration = Duration::from_secs(300);
/// A client that is told to go, and has nothing under way, gets this much to
/// read it.
const GO_AWAY_GRACE: Duration = Duration::from_secs(3);
/// "No limit" that clocks can still add.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// So many bytes sent allow the client one frame that only steers: a window
/// update for what it has read.
const BYTES_PER_FRAME: usize = 1 << 10;

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// What has to be done about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this moment.
    At(Instant),
    /// No more requests; those under way may end.
    NoMore(Limit),
    /// It ends now.
    Cut(Limit),
}

/// One connection. Requests carry it as an extension.
pub(crate) struct Activity {
    limits: ConnectionLimits,
    tls: bool,
    opened: Instant,
    /// When it has its age; connections that came together don't leave together.
    ages: Instant,
    version: OnceLock<Version>,
    place: OnceLock<Place>,
    proven: AtomicBool,
    cut: OnceLock<Limit>,
    driver: AtomicWaker,
    state: Mutex<State>,
}

struct State {
    in_flight: usize,
    requests: u64,
    quiet_since: Instant,
    /// A request's head has begun and not ended.
    head_since: Option<Instant>,
    /// The peer takes no bytes.
    blocked_since: Option<Instant>,
    /// Bodies whose next piece nobody has asked for yet: the peer gives no window.
    waiting: HashMap<u64, Instant>,
    next_body: u64,
    told_to_go: Option<Instant>,
    control_frames: Bucket,
    resets: Bucket,
}

impl Activity {
    pub(super) fn new(limits: &ConnectionLimits, tls: bool) -> Self {
        let now = Instant::now();
        let max_age = if limits.max_age.is_zero() { FOREVER } else { limits.max_age.min(FOREVER) };
        Self {
            tls,
            opened: now,
            ages: now + max_age.mul_f64(jitter()),
            version: OnceLock::new(),
            place: OnceLock::new(),
            proven: AtomicBool::new(false),
            cut: OnceLock::new(),
            driver: AtomicWaker::new(),
            state: Mutex::new(State {
                in_flight: 0,
                requests: 0,
                quiet_since: now,
                head_since: None,
                blocked_since: None,
                waiting: HashMap::new(),
                next_body: 0,
                told_to_go: None,
                control_frames: Bucket::per_minute(limits.http2_max_control_frames, now),
                resets: Bucket::per_minute(limits.http2_max_resets, now),
            }),
            limits: limits.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is encrypted by this server.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// A request of this connection came from somebody with a good credential:
    /// it is not closed to make room for strangers.
    pub(crate) fn prove(&self) {
        if !self.proven.swap(true, Relaxed)
            && let Some(place) = self.place.get()
        {
            place.prove();
        }
    }

    /// Whether [`Activity::prove`] was called.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Relaxed)
    }

    pub(super) fn take_place(&self, place: Place) {
        // Each connection is given one place, once.
        let _ = self.place.set(place);
    }

    pub(super) fn set_version(&self, version: Version) {
        let _ = self.version.set(version);
        let mut state = self.state();
        // The first bytes of HTTP/1 are those of a head.
        state.head_since = (version == Version::Http1).then(Instant::now);
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.version.get().copied()
    }

    /// Ends the connection for this limit; the first one counts.
    pub(super) fn cut(&self, limit: Limit) {
        let _ = self.cut.set(limit);
        self.driver.wake();
    }

    pub(super) fn cut_for(&self) -> Option<Limit> {
        self.cut.get().copied()
    }

    /// Wakes this task when something has to be done about the connection.
    pub(super) fn driven_by(&self, task: &std::task::Waker) {
        self.driver.register(task);
    }

    /// Whether no answer is being made or sent.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state();
        state.in_flight == 0 && state.blocked_since.is_none()
    }

    /// Whether the next answer of HTTP/1 shall say that it is the last one.
    pub(super) fn closes_after_this(&self) -> bool {
        Instant::now() >= self.ages && self.version() == Some(Version::Http1)
    }

    /// The peer has sent bytes.
    pub(super) fn has_read(&self) {
        if self.version() == Some(Version::Http1) {
            let mut state = self.state();
            if state.in_flight == 0 && state.head_since.is_none() {
                state.head_since = Some(Instant::now());
            }
        }
    }

    /// The peer has begun a frame of HTTP/2.
    pub(super) fn has_begun(&self, frame: FrameHead) {
        let now = Instant::now();
        let mut state = self.state();
        let ends_head = frame.flags & frames::END_HEADERS != 0;
        let is_work = match frame.kind {
            kind::HEADERS => {
                state.head_since = (!ends_head).then_some(now);
                true
            }
            kind::CONTINUATION => {
                if ends_head {
                    state.head_since = None;
                }
                false
            }
            kind::DATA => frame.length > 0 || frame.flags & frames::END_STREAM != 0,
            kind::RST_STREAM => {
                if !state.resets.take(now) {
                    let _ = self.cut.set(Limit::Resets);
                }
                false
            }
            _ => false,
        };
        if !is_work && !state.control_frames.take(now) {
            let _ = self.cut.set(Limit::ControlFrames);
        }
    }

    /// The peer has taken bytes.
    pub(super) fn has_written(&self, bytes: usize) {
        let mut state = self.state();
        state.blocked_since = None;
        if self.version() == Some(Version::Http2) {
            state.control_frames.give(bytes.div_ceil(BYTES_PER_FRAME));
        }
    }

    pub(super) fn has_flushed(&self) {
        self.state().blocked_since = None;
    }

    /// The peer takes no bytes just now.
    pub(super) fn is_blocked(&self) {
        self.state().blocked_since.get_or_insert_with(Instant::now);
    }

    /// What is to be done, and when to look again.
    pub(super) fn due(&self) -> Due {
        if let Some(limit) = self.cut_for() {
            return Due::Cut(limit);
        }
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Due {
        let (limits, state) = (&self.limits, self.state());
        let is_http2 = self.version() == Some(Version::Http2);
        let mut cuts = Vec::with_capacity(6);
        let mut cut_at = |since: Option<Instant>, after: Duration, limit| {
            cuts.extend(since.map(|since| (since + after.min(FOREVER), limit)));
        };
        let waiting = state.waiting.values().min().copied();
        cut_at(state.blocked_since, limits.write_timeout, Limit::WriteProgress);
        cut_at(waiting, limits.write_timeout, Limit::WriteProgress);
        cut_at(state.head_since, limits.header_timeout, Limit::Headers);
        cut_at(Some(self.ages), AGE_GRACE.min(limits.max_age), Limit::Age);
        let quiet = (state.in_flight == 0).then_some(state.quiet_since);
        if state.requests == 0 {
            cut_at(quiet, limits.header_timeout, Limit::Headers);
        } else if !is_http2 && state.head_since.is_none() {
            cut_at(quiet, limits.idle_timeout, Limit::Idle);
        }
        let going = state.told_to_go.zip(quiet).map(|(told, quiet)| told.max(quiet));
        cut_at(going, GO_AWAY_GRACE, if self.ages <= now { Limit::Age } else { Limit::Idle });
        let (next, limit) = cuts.into_iter().min_by_key(|(at, _)| *at).unwrap_or((self.ages, Limit::Age));
        if next <= now {
            return Due::Cut(limit);
        }
        if !is_http2 || state.told_to_go.is_some() {
            return Due::At(next);
        }
        // HTTP/2 sends GOAWAY first, so that no request is lost.
        let idle = quiet.filter(|_| state.requests > 0).map(|since| since + limits.idle_timeout.min(FOREVER));
        match idle {
            Some(idle) if idle <= now => Due::NoMore(Limit::Idle),
            _ if self.ages <= now => Due::NoMore(Limit::Age),
            idle => Due::At(next.min(self.ages).min(idle.unwrap_or(next))),
        }
    }

    pub(super) fn told_to_go(&self) {
        self.state().told_to_go.get_or_insert_with(Instant::now);
    }

    /// How long it has been open.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }
}

/// Between 0.9 and 1.1.
fn jitter() -> f64 {
    let [byte, ..] = uuid::Uuid::new_v4().into_bytes();
    0.9 + f64::from(byte) / 1275.0
}

/// A request under way, up to the end of its answer.
pub(super) struct Request {
    of: Arc<Activity>,
    body: u64,
}

impl Request {
    pub(super) fn begin(of: &Arc<Activity>) -> Self {
        let mut state = of.state();
        state.in_flight += 1;
        state.requests += 1;
        state.next_body += 1;
        let body = state.next_body;
        if of.version() == Some(Version::Http1) {
            state.head_since = None;
        }
        drop(state);
        Self { of: Arc::clone(of), body }
    }

    /// A piece of the answer is handed over; the next one is asked for when the
    /// peer has room.
    pub(super) fn waits_for_reader(&self) {
        self.of.state().waiting.insert(self.body, Instant::now());
    }

    pub(super) fn goes_on(&self) {
        self.of.state().waiting.remove(&self.body);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.of.state();
        state.waiting.remove(&self.body);
        state.in_flight = state.in_flight.saturating_sub(1);
        state.quiet_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> ConnectionLimits {
        ConnectionLimits::default()
    }

    fn connection(version: Version) -> Arc<Activity> {
        let activity = Activity::new(&limits(), false);
        activity.set_version(version);
        Arc::new(activity)
    }

    fn after(activity: &Activity, time: Duration) -> Due {
        activity.due_at(Instant::now() + time)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_never_asks_is_cut_after_the_header_timeout() {
        for version in [Version::Http1, Version::Http2] {
            let open = connection(version);
            assert!(matches!(after(&open, 29 * SECOND), Due::At(_)), "{version:?}");
            assert_eq!(after(&open, 31 * SECOND), Due::Cut(Limit::Headers), "{version:?}");
        }
    }

    #[test]
    fn a_kept_connection_is_cut_when_idle_and_never_while_it_answers() {
        for (version, end) in [(Version::Http1, Due::Cut(Limit::Idle)), (Version::Http2, Due::NoMore(Limit::Idle))] {
            let open = connection(version);
            let request = Request::begin(&open);
            assert!(matches!(after(&open, 600 * SECOND), Due::At(_)), "{version:?}");
            drop(request);
            assert!(matches!(after(&open, 119 * SECOND), Due::At(_)), "{version:?}");
            assert_eq!(after(&open, 121 * SECOND), end, "{version:?}");
        }
    }

    #[test]
    fn a_reader_that_stalls_is_cut_and_one_that_goes_on_is_not() {
        let open = connection(Version::Http2);
        let request = Request::begin(&open);
        request.waits_for_reader();
        assert_eq!(after(&open, 31 * SECOND), Due::Cut(Limit::WriteProgress));
        request.goes_on();
        assert!(matches!(after(&open, 31 * SECOND), Due::At(_)));
        open.is_blocked();
        assert_eq!(after(&open, 31 * SECOND), Due::Cut(Limit::WriteProgress));
        open.has_written(1);
        assert!(matches!(after(&open, 31 * SECOND), Due::At(_)));
    }

    #[test]
    fn an_old_connection_ends_between_two_requests() {
        let open = connection(Version::Http2);
        let _request = Request::begin(&open);
        // Each has an age of its own.
        let age = open.ages.saturating_duration_since(Instant::now());
        assert!(matches!(after(&open, age - 100 * SECOND), Due::At(_)));
        assert_eq!(after(&open, age + 100 * SECOND), Due::NoMore(Limit::Age));
        open.told_to_go();
        assert!(matches!(after(&open, age + 200 * SECOND), Due::At(_)));
        assert_eq!(after(&open, age + 400 * SECOND), Due::Cut(Limit::Age));
    }

    #[test]
    fn a_head_without_an_end_is_cut_also_while_others_are_answered() {
        let open = connection(Version::Http2);
        let _request = Request::begin(&open);
        open.has_begun(FrameHead { kind: kind::HEADERS, flags: 0, length: 10 });
        assert_eq!(after(&open, 31 * SECOND), Due::Cut(Limit::Headers));
        open.has_begun(FrameHead { kind: kind::CONTINUATION, flags: frames::END_HEADERS, length: 10 });
        assert!(matches!(after(&open, 31 * SECOND), Due::At(_)));
    }

    #[test]
    fn floods_run_into_their_limit_and_readers_of_much_do_not() {
        let flood = |head: FrameHead, frames: u32| {
            let open = connection(Version::Http2);
            for _ in 0..frames {
                open.has_begun(head);
            }
            open.cut_for()
        };
        let frame = |kind, flags, length| FrameHead { kind, flags, length };
        let few = limits().http2_max_control_frames;
        for (kind, length) in [(2, 5), (4, 0), (6, 8), (8, 4), (kind::CONTINUATION, 0), (kind::DATA, 0), (200, 1)] {
            assert_eq!(flood(frame(kind, 0, length), few), None, "{kind}");
            assert_eq!(flood(frame(kind, 0, length), few + few / 10), Some(Limit::ControlFrames), "{kind}");
        }
        let resets = limits().http2_max_resets;
        assert_eq!(flood(frame(kind::RST_STREAM, 0, 4), resets), None);
        assert_eq!(flood(frame(kind::RST_STREAM, 0, 4), resets + resets / 10), Some(Limit::Resets));
        assert_eq!(flood(frame(kind::DATA, 0, 1000), 10 * few), None);
        assert_eq!(flood(frame(kind::HEADERS, frames::END_HEADERS, 10), 10 * few), None);

        let open = connection(Version::Http2);
        for _ in 0..10 * few {
            open.has_written(16 << 10);
            open.has_begun(frame(8, 0, 4));
            open.has_begun(frame(8, 0, 4));
        }
        assert_eq!(open.cut_for(), None);
    }
}
