//! Keyframes that came in several frames, because one would have been too large.
//!
//! All parts are of one time and follow each other in their stream. All but the last are
//! deltas, and the last says how many they are ([`ScrapeKind::LastPart`]). So whoever has
//! some of them only has rows that are right and ends none; who has all of them, one
//! behind the other, has a keyframe: what is in none of them is gone.

use crate::{
    batch::{Scrape, ScrapeKind},
    stream::Link,
};

/// A scrape, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The scrape.
    pub scrape: Scrape,
    /// Its place in its stream, where that is known.
    pub link: Option<Link>,
    /// Whether its frame has no other scrape.
    pub alone: bool,
}

/// Scrapes of which the parts of a keyframe are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// The scrapes, each a keyframe or a delta, with its place in its stream.
    pub scrapes: Vec<(Scrape, Option<Link>)>,
    /// For each of the scrapes before the number of the one that it is now.
    pub numbers: Vec<u32>,
}

/// Joins the parts of keyframes in scrapes that are in order of time.
#[must_use]
pub fn join(all: &[Placed]) -> Joined {
    let mut joined = Joined { scrapes: Vec::with_capacity(all.len()), numbers: Vec::with_capacity(all.len()) };
    for (at, placed) in all.iter().enumerate() {
        let (mut scrape, mut link) = (placed.scrape, placed.link);
        if let ScrapeKind::LastPart { parts } = scrape.kind {
            let parts = whole(all.get(..=at).unwrap_or_default(), parts);
            scrape.kind = if parts.is_some() { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
            if let Some([first, rest @ ..]) = parts {
                link = link.map(|link| Link { base: first.link.and_then(|first| first.base), ..link });
                for _ in rest {
                    joined.scrapes.pop();
                    joined.numbers.pop();
                }
                let number = u32::try_from(joined.scrapes.len()).unwrap_or(u32::MAX);
                joined.numbers.extend(rest.iter().map(|_| number));
            }
        }
        joined.numbers.push(u32::try_from(joined.scrapes.len()).unwrap_or(u32::MAX));
        joined.scrapes.push((scrape, link));
    }
    joined
}

/// The parts of the keyframe that ends here, when all of them are there.
fn whole(all: &[Placed], parts: u32) -> Option<&[Placed]> {
    let first = all.len().checked_sub(usize::try_from(parts).ok()?)?;
    let parts = all.get(first..).filter(|parts| !parts.is_empty())?;
    let follows = |pair: &[Placed]| {
        let [before, now] = pair else { return false };
        let is_based = now.link.is_some_and(|link| link.base.is_some() && link.follows(before.link));
        is_based && before.scrape.kind == ScrapeKind::Delta && before.scrape.collected_at == now.scrape.collected_at
    };
    (parts.iter().all(|part| part.alone) && parts.windows(2).all(follows)).then_some(parts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use crate::{
        batch::ScrapeClock,
        epoch::Epoch,
        id::{Seq, StreamId},
        time::Timestamp,
    };

    const LAST: ScrapeKind = ScrapeKind::LastPart { parts: 3 };

    fn placed(seconds: i64, kind: ScrapeKind, seq: u64) -> Placed {
        let scrape = Scrape {
            collected_at: Timestamp::from_secs(seconds),
            interval_micros: 1,
            kind,
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        };
        let stream = StreamId::from_uuid(uuid::Uuid::nil());
        let base = seq.checked_sub(1).filter(|&base| base > 0).map(Seq);
        Placed { scrape, link: Some(Link { stream, seq: Seq(seq), base }), alone: true }
    }

    fn kinds(joined: &Joined) -> Vec<ScrapeKind> {
        joined.scrapes.iter().map(|(scrape, _)| scrape.kind).collect()
    }

    fn visit() -> Vec<Placed> {
        let delta = ScrapeKind::Delta;
        vec![placed(1, delta, 4), placed(2, delta, 5), placed(2, delta, 6), placed(2, LAST, 7), placed(3, delta, 8)]
    }

    #[test]
    fn all_parts_are_one_keyframe_that_stands_where_they_stood() {
        let joined = join(&visit());
        assert_eq!(joined.numbers, [0, 1, 1, 1, 2]);
        assert_eq!(kinds(&joined), [ScrapeKind::Delta, ScrapeKind::Keyframe, ScrapeKind::Delta]);
        let links: Vec<Link> = joined.scrapes.iter().filter_map(|(_, link)| *link).collect();
        assert_eq!((links[1].seq, links[1].base), (Seq(7), Some(Seq(4))));
        assert!(links[1].follows(Some(links[0])) && links[2].follows(Some(links[1])));
    }

    #[test]
    fn without_one_of_them_all_are_deltas() {
        for lacking in [1, 2] {
            let mut all = visit();
            all.remove(lacking);
            let joined = join(&all);
            assert_eq!(joined.numbers, [0, 1, 2, 3]);
            assert_eq!(kinds(&joined), [ScrapeKind::Delta; 4], "without part {lacking}");
        }
        let mut other_time = visit();
        other_time[1].scrape.collected_at = Timestamp::from_secs(1);
        let mut in_a_block = visit();
        in_a_block[2].alone = false;
        let mut other_stream = visit();
        other_stream[2].link = None;
        let mut too_many = visit();
        too_many[3].scrape.kind = ScrapeKind::LastPart { parts: u32::MAX };
        let mut none = visit();
        none[3].scrape.kind = ScrapeKind::LastPart { parts: 0 };
        for all in [other_time, in_a_block, other_stream, too_many, none] {
            assert_eq!(kinds(&join(&all)), [ScrapeKind::Delta; 5]);
        }
    }
}
