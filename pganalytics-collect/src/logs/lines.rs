//! Lines of a stderr log become entries.
//!
//! A message begins with the prefix and a severity; further lines of it begin
//! with a tab; `DETAIL` and the like begin with the prefix, too. PostgreSQL
//! writes all that at once, but without its log collector the lines of two
//! processes can mix. So a few entries stay open for the `DETAIL` of their own
//! process. They leave in the order in which they began, so one offset says
//! which have left.

use std::collections::VecDeque;

use pganalytics_core::Timestamp;

use super::{
    changed::{changed_setting, follow_zone},
    entry::{Entry, SqlState},
    format::{Counts, Limits},
    parser::valid,
    prefix::{Field, Head, Prefix},
    severity_words::{Part, Word},
    zone::TimeReader,
};

/// A line and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) offset: u64,
    /// Bytes in the input, with what ends the line and what was left out.
    pub(super) bytes: u64,
    /// Whether something was left out.
    pub(super) cut: bool,
    pub(super) text: &'a [u8],
    /// What syslog or journald say about it.
    pub(super) outer: WrapperFields,
    /// How it hangs on the line before when it begins with neither prefix nor tab.
    pub(super) join: Join,
}

/// What syslog or journald say about a line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WrapperFields {
    pub(super) time: Option<Timestamp>,
    pub(super) pid: Option<i32>,
}

/// What a line without prefix and tab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// Somebody else's.
    Foreign,
    /// The rest of a line that syslog split.
    SameLine,
}

#[derive(Debug)]
struct Open {
    offset: u64,
    bytes: u64,
    cut: bool,
    /// Whether nothing more can come.
    complete: bool,
    /// `None`: not an entry.
    head: Option<Head>,
    key: Option<i32>,
    outer: WrapperFields,
    text: String,
    /// Where the message ends in the text; parts follow.
    message_end: usize,
    parts: [(usize, usize); Part::COUNT],
    /// Where the last line went.
    last: Option<Part>,
}

/// Puts lines together.
#[derive(Debug)]
pub(super) struct Lines {
    prefix: Prefix,
    limits: Limits,
    times: TimeReader,
    open: VecDeque<Open>,
    /// Entry that the last line belongs to, counted from the back of `open`.
    touched: Option<usize>,
    /// Texts to be used again.
    spare: Vec<String>,
    pub(super) counts: Counts,
}

/// Texts that are kept for the next entries; larger ones are given back.
const SPARE_BYTES: usize = 16 * 1024;

impl Lines {
    pub(super) fn new(prefix: Prefix, limits: Limits, times: TimeReader) -> Self {
        let counts = Counts::default();
        Self { prefix, limits, times, open: VecDeque::new(), touched: None, spare: Vec::new(), counts }
    }

    /// Where the first entry begins that has not left.
    pub(super) fn first_open(&self) -> Option<u64> {
        self.open.front().map(|open| open.offset)
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { guessed_zones: self.times.guessed, ..self.counts }
    }

    pub(super) fn line(&mut self, line: &Line<'_>, each: &mut dyn FnMut(&Entry<'_>)) {
        let text = valid(line.text);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        self.take(line, text);
        self.leave(each);
    }

    fn take(&mut self, line: &Line<'_>, text: &str) {
        if let Some(more) = text.strip_prefix('\t') {
            return self.more(line, more, text, "\n");
        }
        let Some(head) = self.prefix.head(text.as_bytes()).or_else(|| self.changed_prefix(text)) else {
            return match line.join {
                Join::SameLine => self.more(line, text, text, ""),
                Join::Foreign => self.unparsed(line, text),
            };
        };
        let key = key(&head, text).or(line.outer.pid);
        match head.word {
            Word::Entry(_) => {
                for open in self.open.iter_mut().filter(|open| key.is_none() || open.key == key) {
                    open.complete = true;
                }
                self.begin(line, text, Some(head), key);
            }
            Word::Part(part) => self.part(line, text, &head, part, key),
        }
    }

    /// The line that tells of a change of the prefix has the new prefix already, so it is not read
    /// with the old one. What it says is believed when it holds for the line itself.
    fn changed_prefix(&mut self, text: &str) -> Option<Head> {
        let prefix = Prefix::new(changed_setting(text, "log_line_prefix")?);
        let head = prefix.head(text.as_bytes())?;
        let older = std::mem::take(&mut self.prefix);
        self.prefix = prefix.with_older(older);
        Some(head)
    }

    fn begin(&mut self, line: &Line<'_>, text: &str, head: Option<Head>, key: Option<i32>) {
        let mut own = self.spare.pop().unwrap_or_default();
        let fits = fitting(text, self.limits.entry_bytes);
        own.push_str(fits);
        self.open.push_back(Open {
            offset: line.offset,
            bytes: line.bytes,
            cut: line.cut || fits.len() < text.len(),
            complete: head.is_none(),
            head,
            key,
            outer: line.outer,
            message_end: own.len(),
            text: own,
            parts: [(0, 0); Part::COUNT],
            last: None,
        });
        self.touched = Some(0);
    }

    fn unparsed(&mut self, line: &Line<'_>, text: &str) {
        self.begin(line, text, None, None);
        self.touched = None;
    }

    /// One more line of the message or part before.
    fn more(&mut self, line: &Line<'_>, more: &str, whole: &str, between: &str) {
        let limit = self.limits.entry_bytes;
        let by_process = |open: &Open| open.head.is_some() && open.outer.pid == line.outer.pid;
        let touched = match line.outer.pid {
            Some(_) => self.open.iter().rev().position(by_process),
            None => self.touched,
        };
        let Some(open) = touched.and_then(|back| nth_back(&mut self.open, back)) else {
            return self.unparsed(line, whole);
        };
        self.touched = touched;
        open.add(line, between, limit);
        open.add_text(more, limit);
    }

    /// A `DETAIL` or the like.
    fn part(&mut self, line: &Line<'_>, text: &str, head: &Head, part: Part, key: Option<i32>) {
        let limit = self.limits.entry_bytes;
        let wanted = |open: &Open| open.head.is_some() && open.key == key;
        let found = match key {
            Some(_) => self.open.iter().rev().position(wanted),
            None => self.touched,
        };
        let open = found.and_then(|back| nth_back(&mut self.open, back));
        let free = |open: &&mut Open| open.parts.get(part as usize) == Some(&(0, 0));
        let Some(open) = open.filter(free) else { return self.unparsed(line, text) };
        self.touched = found;
        if open.last.is_none() {
            open.message_end = open.text.len();
        }
        open.last = Some(part);
        let begin = open.text.len();
        if let Some(place) = open.parts.get_mut(part as usize) {
            *place = (begin, begin);
        }
        open.add(line, "", limit);
        open.add_text(text.get(head.text as usize..).unwrap_or_default(), limit);
    }

    /// Hands over what can get nothing more, in order.
    fn leave(&mut self, each: &mut dyn FnMut(&Entry<'_>)) {
        while let Some(first) = self.open.front() {
            if !first.complete && self.open.len() <= self.limits.open_entries {
                return;
            }
            self.leave_first(each);
        }
    }

    /// Hands over those that begin before this offset.
    pub(super) fn flush_before(&mut self, offset: u64, each: &mut dyn FnMut(&Entry<'_>)) {
        self.open.iter_mut().filter(|open| open.offset < offset).for_each(|open| open.complete = true);
        self.leave(each);
    }

    /// Hands over all.
    pub(super) fn flush(&mut self, each: &mut dyn FnMut(&Entry<'_>)) {
        while !self.open.is_empty() {
            self.leave_first(each);
        }
        self.touched = None;
    }

    fn leave_first(&mut self, each: &mut dyn FnMut(&Entry<'_>)) {
        let Some(open) = self.open.pop_front() else { return };
        if self.touched.is_some_and(|back| back >= self.open.len()) {
            self.touched = None;
        }
        let mut entry = open.entry(&mut self.times);
        if follow_zone(&entry, &mut self.times) {
            entry = open.entry(&mut self.times);
        }
        if open.head.is_some() {
            self.counts.entries += 1;
            self.counts.entry_bytes += open.bytes;
            self.counts.cut += u64::from(open.cut);
        } else {
            self.counts.unparsed += 1;
            self.counts.unparsed_bytes += open.bytes;
        }
        each(&entry);
        let mut text = open.text;
        if text.capacity() <= SPARE_BYTES && self.spare.len() <= self.limits.open_entries {
            text.clear();
            self.spare.push(text);
        }
    }
}

fn nth_back(open: &mut VecDeque<Open>, back: usize) -> Option<&mut Open> {
    let at = open.len().checked_sub(back + 1)?;
    open.get_mut(at)
}

/// The begin of a text that has no more bytes than this.
pub(super) fn fitting(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

fn key(head: &Head, text: &str) -> Option<i32> {
    let pid = number(field(head, text, Field::Pid)?);
    pid.or_else(|| i32::from_str_radix(field(head, text, Field::SessionId)?.split_once('.')?.1, 16).ok())
}

fn field<'a>(head: &Head, text: &'a str, field: Field) -> Option<&'a str> {
    let &(begin, end) = head.fields.get(field as usize)?;
    text.get(begin as usize..end as usize)
}

fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.parse().ok()
}

impl Open {
    fn add(&mut self, line: &Line<'_>, between: &str, limit: usize) {
        self.bytes += line.bytes;
        self.cut |= line.cut;
        self.add_text(between, limit);
    }

    /// Appends to the message or part that came last.
    fn add_text(&mut self, more: &str, limit: usize) {
        let fits = fitting(more, limit.saturating_sub(self.text.len()));
        self.cut |= fits.len() < more.len();
        self.text.push_str(fits);
        let end = self.text.len();
        match self.last {
            None => self.message_end = end,
            Some(part) => {
                if let Some(place) = self.parts.get_mut(part as usize) {
                    place.1 = end;
                }
            }
        }
    }

    fn entry(&self, times: &mut TimeReader) -> Entry<'_> {
        let mut entry = Entry { offset: self.offset, bytes: self.bytes, cut: self.cut, ..Entry::default() };
        let Some(head) = &self.head else {
            (entry.message, entry.time, entry.pid) = (&self.text, self.outer.time, self.outer.pid);
            return entry;
        };
        if let Word::Entry(severity) = head.word {
            entry.severity = severity;
        }
        entry.severity_word = self.text.get(head.word_at.0 as usize..head.word_at.1 as usize).unwrap_or_default();
        self.head_fields(head, times, &mut entry);

        let part = |part: Part| {
            let &(begin, end) = self.parts.get(part as usize)?;
            self.text.get(begin..end).filter(|text| !text.is_empty())
        };
        entry.detail = part(Part::Detail);
        entry.hint = part(Part::Hint);
        entry.context = part(Part::Context);
        entry.statement = part(Part::Statement);
        entry.internal_query = part(Part::InternalQuery);
        entry.location = part(Part::Location);
        let message = self.text.get(head.text as usize..self.message_end).unwrap_or_default();
        (entry.message, entry.position) = without_position(message);
        // log_error_verbosity = verbose puts the SQLSTATE before the message.
        if entry.location.is_some()
            && let Some((code, message)) = entry.message.split_once(": ")
            && (code == "00000" || SqlState::new(code.as_bytes()).is_some())
        {
            (entry.sqlstate, entry.message) = (SqlState::new(code.as_bytes()), message);
        }
        entry
    }

    fn head_fields<'a>(&'a self, head: &Head, times: &mut TimeReader, entry: &mut Entry<'a>) {
        let raw = |of: Field| field(head, &self.text, of).filter(|text| !text.is_empty());
        let name = |of: Field| raw(of).filter(|text| !matches!(*text, "[unknown]" | "[none]"));
        entry.time = raw(Field::Time).and_then(|text| times.read(text.as_bytes())).or(self.outer.time);
        if entry.time.is_none() {
            entry.time = raw(Field::Epoch).and_then(epoch);
        }
        entry.session_start = raw(Field::SessionStart).and_then(|text| times.read(text.as_bytes()));
        entry.application = name(Field::Application);
        entry.user = name(Field::User);
        entry.database = name(Field::Database);
        entry.local_host = name(Field::LocalHost);
        entry.backend_type = name(Field::BackendType);
        entry.remote_host = name(Field::Host);
        if let Some(both) = name(Field::HostAndPort) {
            let port = both.strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
            let (host, port) = port.map_or((both, None), |(host, port)| (host, number(port)));
            (entry.remote_host, entry.remote_port) = (Some(host), port);
        }
        entry.session_id = raw(Field::SessionId);
        entry.pid = raw(Field::Pid).and_then(number).or(self.key).or(self.outer.pid);
        entry.leader_pid = raw(Field::LeaderPid).and_then(number);
        entry.session_line = raw(Field::SessionLine).and_then(number);
        entry.sqlstate = raw(Field::SqlState).and_then(|text| SqlState::new(text.as_bytes()));
        entry.virtual_xid = raw(Field::VirtualXid);
        entry.xid = raw(Field::Xid).and_then(number).filter(|xid| *xid != 0);
        entry.command_tag = raw(Field::CommandTag);
        entry.query_id = raw(Field::QueryId).and_then(number).filter(|id| *id != 0);
    }
}

/// `1700000000.123`
fn epoch(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut micros = 0;
    let mut unit = 100_000;
    for digit in fraction.bytes().take(6) {
        micros += i64::from(digit.wrapping_sub(b'0')) * unit;
        unit /= 10;
    }
    Some(Timestamp::from_secs(number(seconds)?).plus_micros(micros))
}

/// A stderr log has the position of an error behind the message.
fn without_position(message: &str) -> (&str, Option<i32>) {
    const BEFORE: &str = " at character ";
    if !message.as_bytes().last().is_some_and(u8::is_ascii_digit) {
        return (message, None);
    }
    let without = message.trim_end_matches(|digit: char| digit.is_ascii_digit());
    match (without.strip_suffix(BEFORE), message.get(without.len()..).and_then(number)) {
        (Some(message), Some(position)) => (message, Some(position)),
        _ => (message, None),
    }
}
