//! What visits have put in and is not written yet.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::{outbox::Remembered, record::States, stream::NewFrame};

/// Frames, in the order in which they came, and what to remember with them.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) frames: Vec<NewFrame>,
    pub(super) states: States,
    bytes: usize,
    written: watch::Sender<bool>,
}

impl Default for Intake {
    fn default() -> Self {
        Self { frames: Vec::new(), states: States::new(), bytes: 0, written: watch::Sender::new(false) }
    }
}

impl Intake {
    /// Takes in what a visit brought. So many bytes are written at once.
    pub(super) fn add(&mut self, frames: Vec<NewFrame>, state: Option<Remembered>, most: u64) -> Taken {
        self.bytes += frames.iter().map(|frame| frame.bytes.len()).sum::<usize>();
        self.frames.extend(frames);
        self.states.extend(state.map(|Remembered { collector, state }| (collector, state)));
        Taken { written: self.written.subscribe(), is_full: self.bytes as u64 >= most }
    }

    /// All of it was written, to the disk or to memory.
    pub(super) fn tell_written(self) {
        self.written.send_replace(true);
    }
}

/// Something that was taken in.
#[derive(Debug)]
pub(super) struct Taken {
    written: watch::Receiver<bool>,
    is_full: bool,
}

impl Taken {
    /// Waits for somebody who writes it. `false` when nobody did so far.
    pub(super) async fn written_within(mut self, linger: Duration) -> bool {
        !self.is_full && timeout(linger, self.written.wait_for(|written| *written)).await.is_ok()
    }
}
