//! What a scan reads of a chunk: the pages of the columns that it needs, of the keys that it
//! asks for, and what the block has noted of itself.

use std::{fmt, ops::Range, sync::Arc};

use pganalytics_core::{
    Presence,
    frame::{FrameBytes, FrameError, FrameHead, KeyDirectory},
};

use super::{
    fact_cache::Identity,
    narrow::{FEW_ROWS, ranges_of, spans_of, worth_it},
    scan::Scan,
    table::View,
};
use crate::chunk::Pick;

/// Chooses for a scan.
pub(super) struct Picker(pub(super) Arc<Scan>);

impl fmt::Debug for Picker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picker").field(&self.0).finish()
    }
}

impl Pick for Picker {
    fn head(&self, id: u64) -> Option<FrameHead> {
        self.0.cache.head(Identity::Number(id)).map(|(head, _)| head)
    }

    fn places(
        &self,
        id: u64,
        head: &FrameHead,
        rest: &dyn FrameBytes,
    ) -> Result<Option<Vec<Range<usize>>>, FrameError> {
        let scan = &self.0;
        let state = scan.shape.schema.presence() == Presence::State;
        let noted = head.knows_facts() && scan.shape.measures_as(head.schema());
        // What rows say of each other takes all that they measured, where it is not noted.
        if !state || head.rows() < FEW_ROWS || (scan.view == View::Delta && !noted) {
            return Ok(None);
        }
        let Some(directory) = self.directory(id, head, rest)? else { return Ok(None) };
        let mut places = vec![head.key_ranges(), head.note_ranges()];
        let Ok(wanted) = super::narrow::wanted_keys(head.schema(), &scan.shape, &scan.keys, &directory) else {
            return Ok(None);
        };
        let some = wanted.filter(|_| !scan.keys.all.is_empty()).map(|wanted| ranges_of(&directory, &wanted).1);
        let some = some.filter(|ranges| worth_it(head, ranges));
        let spans: Vec<Range<usize>> = match &some {
            Some(ranges) => spans_of(head, ranges).into_iter().map(|span| span.pages).collect(),
            None if self.is_summed(head) => return Ok(Some(places)),
            None => std::iter::once(0..head.pages()).collect(),
        };
        let stamp = scan.shape.schema.row_stamp().filter(|_| scan.view == View::Delta);
        let asked = scan.wanted.stored().chain(stamp).chain(scan.shape.keys.iter().copied());
        let positions: Vec<usize> = asked.filter_map(|at| scan.shape.place_in(head.schema(), at)).collect();
        for pages in &spans {
            places.extend(positions.iter().map(|&column| head.ranges(column, pages)));
            places.extend(head.row_ranges(pages));
        }
        Ok(Some(places))
    }
}

impl Picker {
    /// The directory of keys; it and the head are remembered.
    fn directory(
        &self,
        id: u64,
        head: &FrameHead,
        rest: &dyn FrameBytes,
    ) -> Result<Option<Arc<KeyDirectory>>, FrameError> {
        let identity = Identity::Number(id);
        if let Some((_, directory)) = self.0.cache.head(identity) {
            return Ok(Some(directory));
        }
        let Some(directory) = head.keys(rest)? else { return Ok(None) };
        let directory = Arc::new(directory);
        self.0.cache.put_head(identity, head.clone(), Arc::clone(&directory));
        Ok(Some(directory))
    }

    /// Whether no row of the block will be looked at.
    fn is_summed(&self, head: &FrameHead) -> bool {
        let scan = &self.0;
        scan.keys.all.is_empty() && scan.may_be_summed(head.scrapes())
    }
}
