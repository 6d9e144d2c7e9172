//! Where the frames of an HTTP/2 connection begin, and what they are: enough to
//! count them before a library works on them. Payloads are passed over.

/// Kinds of frames (RFC 9113, section 6).
pub(super) mod kind {
    pub(in crate::serve) const DATA: u8 = 0;
    pub(in crate::serve) const HEADERS: u8 = 1;
    pub(in crate::serve) const RST_STREAM: u8 = 3;
    pub(in crate::serve) const CONTINUATION: u8 = 9;
}
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

const HEAD: usize = 9;

/// What stands in a frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) length: usize,
}

/// Finds frames in bytes that come in any pieces.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the payload still to come.
    left: usize,
}

impl Frames {
    /// Calls `each` for every frame whose head ends in these bytes.
    pub(super) fn scan(&mut self, mut bytes: &[u8], mut each: impl FnMut(FrameHead)) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let taken = (HEAD - self.have).min(bytes.len());
            let (now, rest) = bytes.split_at(taken);
            for (place, byte) in self.head.iter_mut().skip(self.have).zip(now) {
                *place = *byte;
            }
            (self.have, bytes) = (self.have + taken, rest);
            if self.have == HEAD {
                let [high, middle, low, kind, flags, ..] = self.head;
                let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                (self.have, self.left) = (0, length);
                each(FrameHead { kind, flags, length });
            }
        }
    }

    /// Whether the last byte was the last one of a frame.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        let mut bytes = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEAD + length, 0xff);
        bytes
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(
            frames in vec((any::<u8>(), any::<u8>(), 0..400_usize), 0..40),
            cuts in vec(1..64_usize, 1..20),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, flags, length)| frame(*kind, *flags, *length)).collect();
            let (mut scanner, mut found, mut rest) = (Frames::default(), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                scanner.scan(now, |head| found.push((head.kind, head.flags, head.length)));
                rest = later;
            }
            prop_assert_eq!(found, frames);
            prop_assert!(scanner.is_between());
        }
    }
}
