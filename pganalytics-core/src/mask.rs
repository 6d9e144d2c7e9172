//! A packed list of bits: which rows are NULL, which are gone.

/// Bits, one a row, packed in 64-bit words, lowest bit first (as Arrow's).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mask {
    words: Vec<u64>,
    len: usize,
}

impl Mask {
    /// `len` bits, all unset.
    #[must_use]
    pub fn unset(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// From words, lowest bit first. Bits past `len` are cleared, missing words
    /// count as unset.
    #[must_use]
    pub fn from_words(mut words: Vec<u64>, len: usize) -> Self {
        words.resize(len.div_ceil(64), 0);
        if let (Some(last), tail @ 1..) = (words.last_mut(), len % 64) {
            *last &= (1 << tail) - 1;
        }
        Self { words, len }
    }

    /// The words; bits past the length are unset.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Gives the words away.
    #[must_use]
    pub fn into_words(self) -> Vec<u64> {
        self.words
    }

    /// Number of bits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bits at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bit at `index`; unset past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> bool {
        index < self.len && self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Sets the bit at `index`. Past the end it does nothing.
    pub fn set(&mut self, index: usize) {
        if index < self.len
            && let Some(word) = self.words.get_mut(index / 64)
        {
            *word |= 1 << (index % 64);
        }
    }

    /// Appends a bit.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.len += 1;
        if bit {
            self.set(self.len - 1);
        }
    }

    /// How many bits are set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether any bit is set.
    #[must_use]
    pub fn any(&self) -> bool {
        self.words.iter().any(|&word| word != 0)
    }

    /// The bits at `rows`, in that order; unset past the end.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        rows.iter().map(|&row| self.get(row as usize)).collect()
    }
}

impl FromIterator<bool> for Mask {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut mask = Self::default();
        for bit in bits {
            mask.push(bit);
        }
        mask
    }
}
