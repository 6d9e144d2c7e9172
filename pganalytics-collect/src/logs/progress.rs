//! How far a file of a log was read, and when its last entries leave.

use super::{Entry, Parser};

/// Visits without news after which a file that is not the newest is closed.
const QUIET: u32 = 6;

/// A file that is being read, on this host or through the server.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) parser: Parser,
    /// How far it was read: the parser may hold the begin of an entry.
    pub(crate) read: u64,
    /// Visits since it had something new.
    quiet: u32,
    /// Its last entries were handed over because nobody wrote for a while.
    flushed: bool,
}

/// What a visit was for its file.
pub(crate) struct Visit {
    /// How far the file was read before it.
    pub(crate) before: u64,
    /// No other visit will follow.
    pub(crate) only_visit: bool,
    /// It ended before all was read.
    pub(crate) cut_short: bool,
    /// It is the file that is written, even when it has no name any more.
    pub(crate) newest: bool,
}

impl Progress {
    /// Begins where the parser does.
    pub(crate) fn new(parser: Parser, read: u64) -> Self {
        Self { parser, read, quiet: 0, flushed: false }
    }

    /// Hands over entries for which nothing more will come. Whether the file is done with.
    pub(crate) fn end_visit(&mut self, visit: &Visit, each: &mut dyn FnMut(&Entry<'_>)) -> bool {
        if self.read > visit.before {
            (self.quiet, self.flushed) = (0, false);
            if visit.only_visit {
                self.parser.flush(each);
            } else {
                // What was there at the visit before waits for nothing any more: on a server that
                // logs all the time no visit would be quiet.
                self.parser.flush_before(visit.before, each);
            }
            return false;
        }
        if visit.cut_short {
            return false;
        }
        self.quiet += 1;
        if !self.flushed {
            self.parser.flush(each);
            self.flushed = true;
        }
        let done = self.quiet >= QUIET && !visit.newest;
        if done {
            self.parser.finish(each);
        }
        done
    }
}
