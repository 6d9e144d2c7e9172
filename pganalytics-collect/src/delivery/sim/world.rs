//! One schedule.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use pganalytics_core::{Seq, Timestamp};

use super::{
    disk::{Faults, SimDisk, State},
    random::SimRng,
    server::{Server, id_of, is_poison, is_unreadable, row, spoil},
};
use crate::{
    delivery::{
        GroupLimits,
        lane::Backlog,
        numbering::Numbering,
        record::States,
        recover::OpenError,
        reply::ReplyPolicy,
        retry::Backoff,
        stream::{Lease, Moment, NewFrame, Room, Stream},
    },
    sink::{Delivery, FrameGroup, SinkError},
};

pub(super) struct World {
    rng: SimRng,
    disk: Arc<SimDisk>,
    room: Room,
    backlog: Backlog,
    stream: Option<Stream>,
    policy: ReplyPolicy,
    server: Server,
    now: Moment,
    next_id: u64,
    /// Local number of each frame that was confirmed.
    confirmed: HashMap<u64, u64>,
    /// Every numbering that there was.
    numberings: Vec<Numbering>,
    /// Requests that are still under way.
    late: Vec<FrameGroup>,
    snapshot: Option<State>,
    /// The folder was once put back: what came after is not there any more.
    rolled_back: bool,
    may_roll_back: bool,
    /// Nothing happened that leaves the agent in doubt.
    certain: bool,
    faults: Faults,
}

impl World {
    pub(super) fn run(seed: u64) {
        let mut world = Self::new(seed);
        let steps = 30 + world.rng.below(90);
        for _ in 0..steps {
            world.step();
        }
        world.heal();
        world.check();
    }

    fn new(seed: u64) -> Self {
        let mut rng = SimRng::new(seed);
        let quota = 1500 + rng.below(20_000);
        let capacity = if rng.chance(300) { 2000 + rng.below(10_000) } else { 10_000_000 };
        let rate = |rng: &mut SimRng| if rng.chance(500) { rng.below(150) } else { 0 };
        let faults = Faults { write: rate(&mut rng), sync: rate(&mut rng), read: rate(&mut rng) };
        let limits = GroupLimits { frames: 1 + rng.below(30) as usize, bytes: 200 + rng.below(3000) as usize };
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60), true);
        Self {
            disk: Arc::new(SimDisk::new(seed ^ 0xd15c, capacity)),
            room: Room::new(quota),
            backlog: if rng.chance(500) { Backlog::OldestFirst } else { Backlog::NewestFirst },
            stream: None,
            policy: ReplyPolicy::new(backoff, limits),
            server: Server { most_frames: 1 + rng.below(40) as usize, ..Server::default() },
            now: Moment { wall: Timestamp::from_secs(1_800_000_000), steady: Duration::ZERO },
            next_id: 0,
            confirmed: HashMap::new(),
            numberings: Vec::new(),
            late: Vec::new(),
            snapshot: None,
            rolled_back: false,
            may_roll_back: rng.chance(100),
            certain: true,
            faults,
            rng,
        }
    }

    fn step(&mut self) {
        if self.stream.is_none() {
            return self.open();
        }
        match self.rng.below(100) {
            0..45 => self.put(),
            45..75 => self.push(),
            75..80 => self.advance(self.rng.clone().below(15_000)),
            80..83 => self.kill(),
            83..86 => {
                trace!("a bit flips");
                self.disk.flip();
            }
            86..90 => self.toggle_faults(),
            90..94 => {
                let calls = 1 + self.rng.below(12);
                self.disk.state().dies_in = Some(calls);
            }
            94..96 => {
                let step = self.rng.below(7_200_000_000).cast_signed() - 3_600_000_000;
                self.now.wall = self.now.wall.plus_micros(step);
            }
            96..98 => self.arrive_late(),
            _ if self.may_roll_back => self.roll_back(),
            _ => {}
        }
        self.restart_if_killed();
    }

    fn advance(&mut self, millis: u64) {
        self.rng.below(2);
        self.now.steady += Duration::from_millis(millis);
        self.now.wall = self.now.wall.plus_micros(i64::try_from(millis * 1000).unwrap());
    }

    fn is_killed(&self) -> bool {
        self.disk.state().dies_in == Some(0)
    }

    /// Begins anew where the process was killed within a call.
    fn restart_if_killed(&mut self) {
        if self.is_killed() {
            self.kill();
        }
    }

    fn kill(&mut self) {
        trace!("killed");
        self.certain = false;
        self.stream = None;
        self.disk.revive();
        if self.rng.chance(500) {
            trace!("power cut");
            self.disk.power_cut();
        }
    }

    fn open(&mut self) {
        match Stream::open(self.disk.clone(), self.room, self.now) {
            Ok(stream) => {
                trace!("open: {}", about(&stream));
                self.note_numbering(&stream);
                self.stream = Some(stream);
            }
            Err(OpenError::Foreign(file)) => panic!("{file} is not taken for ours"),
            Err(OpenError::Io(error)) => {
                trace!("not open: {error}");
                self.advance(1000);
            }
        }
        self.restart_if_killed();
    }

    fn note_numbering(&mut self, stream: &Stream) {
        if self.numberings.last() != Some(&stream.numbering) {
            self.numberings.push(stream.numbering.clone());
        }
    }

    fn toggle_faults(&mut self) {
        self.certain = false;
        let mut state = self.disk.state();
        state.faults = if self.rng.chance(500) { self.faults } else { Faults::default() };
        state.is_away = self.rng.chance(100);
        trace!("faults {:?}, away {}", state.faults, state.is_away);
    }

    fn put(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let count = 1 + self.rng.below(6);
        let ids: Vec<u64> = (self.next_id..self.next_id + count).collect();
        self.next_id += count;
        let frames: Vec<NewFrame> =
            ids.iter().map(|&id| NewFrame::from(row(id, self.rng.below(150) as usize))).collect();
        let states = States::from([(Arc::from("log"), Bytes::from(self.next_id.to_string()))]);
        let first = stream.next + stream.gap_frames().len() as u64;
        let written = stream.put(&frames, &states, self.now);
        trace!("put {ids:?} from {first}: {written:?}, dies in {:?}; {}", self.disk.state().dies_in, about(stream));
        if written.is_ok() && !self.is_killed() {
            self.confirmed.extend(ids.into_iter().zip(first..));
        }
    }

    fn push(&mut self) {
        self.advance(50);
        let Some(stream) = &mut self.stream else { return };
        let group = match self.policy.next_part() {
            Some(part) => part,
            None => match stream.lease(self.policy.limits(), self.backlog, self.now) {
                Lease::Group(group) => group,
                Lease::Empty | Lease::OutOfReach => return,
            },
        };
        let answer = self.send(&group);
        self.answer(group, answer);
    }

    fn send(&mut self, group: &FrameGroup) -> Result<Delivery, SinkError> {
        let lost = || Err(SinkError::Unavailable { message: String::from("no answer"), retry_after: None });
        match self.rng.below(100) {
            0..60 => self.server.take(group),
            60..70 => {
                // It is stored, and nobody hears of it.
                self.certain = false;
                let _ = self.server.take(group);
                lost()
            }
            70..80 => lost(),
            80..86 => {
                self.certain = false;
                self.late.push(group.clone());
                lost()
            }
            86..94 => {
                self.certain = false;
                let delivery = self.server.take(group)?;
                Ok(spoil(delivery, group, &mut self.rng))
            }
            _ => Err(SinkError::Refused { message: String::from("401") }),
        }
    }

    fn answer(&mut self, group: FrameGroup, answer: Result<Delivery, SinkError>) {
        let Some(stream) = &mut self.stream else { return };
        let id = group.stream;
        trace!("pushed {}: {answer:?}; {}", group.numbers(), about(stream));
        let decision = self.policy.decide(group, answer);
        if decision.settles() {
            stream.settle(id, &decision.settle.named_stored(), &decision.settle.refused, self.now);
        }
        if self.policy.is_done() || decision.fork {
            stream.release(self.now);
        }
        if decision.fork {
            assert!(self.rolled_back, "a fork where nobody else has the stream");
            let _ = stream.fork(id);
            let numbering = stream.numbering.clone();
            if self.numberings.last() != Some(&numbering) {
                self.numberings.push(numbering);
            }
        }
        if let Some((_, pause)) = decision.pause {
            self.advance(u64::try_from(pause.as_millis()).unwrap());
        }
    }

    fn arrive_late(&mut self) {
        if let Some(group) = self.late.pop() {
            let _ = self.server.take(&group);
        }
    }

    /// The folder comes back as it once was.
    fn roll_back(&mut self) {
        match self.snapshot.take() {
            None => self.snapshot = Some(self.disk.snapshot()),
            Some(snapshot) => {
                self.rolled_back = true;
                self.certain = false;
                self.stream = None;
                self.disk.restore(&snapshot);
            }
        }
    }

    /// All goes well from now on, until nothing waits.
    fn heal(&mut self) {
        self.disk.revive();
        {
            let mut state = self.disk.state();
            state.faults = Faults::default();
            state.is_away = false;
            state.capacity = 10_000_000;
        }
        while !self.late.is_empty() {
            self.arrive_late();
        }
        if self.stream.is_none() {
            self.open();
        }
        for _ in 0..1000 {
            self.advance(2000);
            let Some(stream) = &mut self.stream else { panic!("a good disk can't be opened") };
            let group = match self.policy.next_part() {
                Some(part) => part,
                None => match stream.lease(self.policy.limits(), self.backlog, self.now) {
                    Lease::Group(group) => group,
                    Lease::Empty if stream.gaps.undeclared().is_empty() => return,
                    Lease::Empty | Lease::OutOfReach => {
                        stream.declare(self.now);
                        continue;
                    }
                },
            };
            let answer = self.server.take(&group);
            self.answer(group, answer);
        }
        panic!("what waits is never delivered");
    }

    fn check(&self) {
        let stream = self.stream.as_ref().unwrap();
        assert_eq!((stream.stats.queued_frames, stream.stats.queued_bytes), (0, 0));
        let mut places: HashMap<u64, u64> = HashMap::new();
        for (&of, frames) in &self.server.stored {
            for (&seq, frame) in frames {
                let Some(id) = id_of(frame) else { continue };
                assert!(id < self.next_id && !is_poison(id) && !is_unreadable(id));
                *places.entry(id).or_default() += 1;
                let declared = self.server.declares(of, Seq(seq));
                assert!(!(declared && self.certain), "{id} at {seq} is stored and declared lost");
            }
        }
        if self.rolled_back {
            // What was confirmed after the snapshot is gone with the folder.
            return;
        }
        assert!(places.values().all(|&times| times == 1), "stored twice: {places:?}");
        for (id, &local) in &self.confirmed {
            let declared = self.is_declared(local);
            assert!(places.contains_key(id) || declared, "frame {id}, number {local}, is lost without a word");
            assert!(declared || !is_poison(*id) && !is_unreadable(*id));
        }
        for local in 1..stream.next {
            let stored = self
                .numberings
                .iter()
                .any(|numbering| numbering.wire(local).is_some_and(|wire| self.server.has(numbering.stream, wire)));
            assert!(stored || self.is_declared(local), "number {local} is neither stored nor declared lost");
        }
        for (_, gap) in &self.server.gaps {
            assert!(gap.first <= gap.last && gap.from <= gap.to, "{gap:?}");
        }
    }

    fn is_declared(&self, local: u64) -> bool {
        self.numberings
            .iter()
            .any(|numbering| numbering.wire(local).is_some_and(|wire| self.server.declares(numbering.stream, wire)))
    }
}

fn about(stream: &Stream) -> String {
    format!(
        "next {}, waiting {}, acknowledged {}, refused {}, lost {}, told {}, gaps {:?}, segments {:?}",
        stream.next,
        stream.waiting,
        stream.account.acknowledged,
        stream.account.refused,
        stream.account.lost,
        stream.account.told,
        stream.gaps.ranges(),
        stream.segments.keys().collect::<Vec<_>>()
    )
}
