//! The present rows, and what is followed behind them, against a naive model.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::{prelude::*, sample::Index};

use super::{
    compact_tests::{expand, expected, frames, merged, reread, schema, visits},
    *,
};
use crate::schema::Presence;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_present_and_what_follows_it_give_what_is_live(visits in visits(), cuts in prop::collection::vec(any::<Index>(), 2)) {
        let frames = frames(&schema(Presence::State), &visits);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| 1 + cut.index(frames.len())).collect();
        cuts.sort_unstable();
        let [first, second] = cuts[..] else { unreachable!() };
        let keyframe = |end: usize| visits[..end].iter().rposition(|visit| visit.keyframe);
        let made = present(&frames[..first]).unwrap();
        prop_assert_eq!(made.is_some(), keyframe(first).is_some());
        let Some(made) = made else { return Ok(()) };
        prop_assert_eq!(made.scrapes().len(), first - keyframe(first).unwrap());
        prop_assert_eq!(expand(&made).pop(), expected(&visits[..first]).pop());
        let live = made.rows().len();
        prop_assert_eq!(live, expected(&visits[..first]).pop().unwrap().len(), "a row for each key");
        // Made of one that was made before and of what came since.
        let further: Vec<Frame> = std::iter::once(reread(&made)).chain(frames[first..second].iter().cloned()).collect();
        let further = present(&further).unwrap().unwrap();
        prop_assert_eq!(further.scrapes().len(), second - keyframe(second).unwrap());
        let behind: Vec<Frame> = std::iter::once(reread(&further)).chain(frames[second..].iter().cloned()).collect();
        prop_assert_eq!(merged(&behind).pop(), expected(&visits).pop());
    }
}

#[test]
fn without_frames_or_a_keyframe_there_is_no_present() {
    assert!(present(&[]).is_err());
}
