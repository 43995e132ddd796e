use std::hash::{BuildHasher, Hash, Hasher};

use super::definition::MAX_LABELS;

/// The most bytes of a label's value.
const LONGEST: usize = 128;

/// The values of a series' labels, in one piece of memory.
pub(super) struct Labels {
    /// One behind the other.
    text: Box<str>,
    /// Where each ends; after the last, 0.
    ends: [u16; MAX_LABELS],
}

impl Labels {
    /// Values that were [cut](cut), at most [`MAX_LABELS`] of them.
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a str>) -> Labels {
        let mut text = String::new();
        let mut ends = [0; MAX_LABELS];
        for (value, end) in values.zip(&mut ends) {
            text.push_str(value);
            *end = u16::try_from(text.len()).expect("all values together have at most a KiB");
        }
        Labels {
            text: text.into(),
            ends,
        }
    }

    /// So many values.
    pub(super) fn values(&self, count: usize) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends[..count].iter().map(move |end| {
            let end = usize::from(*end);
            let value = &self.text[start..end];
            start = end;
            value
        })
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        self.text.len()
    }
}

/// The values as they are kept: of a longer one the beginning.
pub(super) fn cut(labels: &[impl AsRef<str>]) -> impl Iterator<Item = &str> + Clone {
    labels.iter().map(|label| {
        let label = label.as_ref();
        &label[..label.floor_char_boundary(LONGEST)]
    })
}

/// The hash of values, in their order.
pub(super) fn hash<'a>(hasher: &impl BuildHasher, values: impl Iterator<Item = &'a str>) -> u64 {
    let mut state = hasher.build_hasher();
    values.for_each(|value| value.hash(&mut state));
    state.finish()
}
