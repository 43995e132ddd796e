//! The strings that a filter looks for.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use memchr::memmem;

/// Byte strings: a unit in which none of them occurs passes without a call. Without strings, every unit is of interest.
/// Copies are cheap, and share what is made at first.
#[derive(Clone, Debug, Default)]
pub struct Interest(Option<Arc<Strings>>);

#[derive(Debug)]
struct Strings {
    strings: Vec<Vec<u8>>,
    longest: usize,
    /// Whether one of them has an LF. Data has one between two lines, and never a CR.
    spans_lines: bool,
    search: Search,
}

#[derive(Debug)]
enum Search {
    One(Box<memmem::Finder<'static>>),
    Many(AhoCorasick),
}

/// There are more than [`Interest::STRINGS`], or one is empty or longer than [`Interest::LENGTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalInterest;

/// The most occurrences before a cut that may hang together. Strings that overlap each other or themselves could hold
/// back any number of bytes.
const CHAIN: usize = 16;

impl Interest {
    /// The most strings.
    pub const STRINGS: usize = 16;

    /// The most bytes of a string.
    pub const LENGTH: usize = 64;

    /// An interest in these strings; in everything, if there are none.
    pub fn new(strings: Vec<Vec<u8>>) -> Result<Interest, IllegalInterest> {
        let are_legal = strings.len() <= Interest::STRINGS
            && strings
                .iter()
                .all(|string| (1..=Interest::LENGTH).contains(&string.len()));
        if !are_legal {
            return Err(IllegalInterest);
        }
        let search = match &strings[..] {
            [] => return Ok(Interest::default()),
            [one] => Search::One(Box::new(memmem::Finder::new(one).into_owned())),
            // It is made for a message: the automaton that is quickly made, not the quickest one.
            many => {
                let kind = Some(AhoCorasickKind::ContiguousNFA);
                let made = AhoCorasick::builder().kind(kind).build(many);
                Search::Many(made.map_err(|_| IllegalInterest)?)
            }
        };
        let longest = strings.iter().map(Vec::len).max().unwrap_or(0);
        let spans_lines = strings.iter().any(|string| string.contains(&b'\n'));
        Ok(Interest(Some(Arc::new(Strings {
            strings,
            longest,
            spans_lines,
            search,
        }))))
    }

    /// Whether one of the strings occurs, or everything is of interest.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|strings| match &strings.search {
            Search::One(finder) => finder.find(bytes).is_some(),
            Search::Many(automaton) => automaton.is_match(bytes),
        })
    }

    /// A place before which none of the strings ends; one may begin before it, but in the same line. 0 if everything is of
    /// interest, or a string may lie in several lines.
    pub(super) fn first_occurrence(&self, bytes: &[u8]) -> usize {
        self.0.as_ref().map_or(0, |strings| {
            let found = match &strings.search {
                _ if strings.spans_lines => Some(0),
                Search::One(finder) => finder.find(bytes),
                // Another may begin before the one that ends first, but in the same line.
                Search::Many(automaton) => automaton.find(bytes).map(|found| found.start()),
            };
            found.unwrap_or(bytes.len())
        })
    }

    /// The last place at which these bytes, of which more follow, may be cut: not inside of an occurrence, nor of what
    /// may become one.
    ///
    /// 0 if there is none. More than 16 occurrences that overlap, each the next, are cut all the same, before what may
    /// become one.
    pub(super) fn cut(&self, bytes: &[u8]) -> usize {
        self.0.as_ref().map_or(bytes.len(), |strings| strings.cut(bytes))
    }

    /// The same, without regard for complete occurrences.
    pub(super) fn cut_before_beginning(&self, bytes: &[u8]) -> usize {
        self.0
            .as_ref()
            .map_or(bytes.len(), |strings| strings.beginning(bytes))
    }
}

impl Strings {
    fn cut(&self, bytes: &[u8]) -> usize {
        let beginning = self.beginning(bytes);
        let mut cut = beginning;
        for _ in 0..CHAIN {
            match self.around(bytes, cut) {
                Some(begin) => cut = begin,
                None => return cut,
            }
        }
        beginning
    }

    /// Where the longest end of the bytes begins that is the beginning of a string and not all of it; or the end.
    fn beginning(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest - 1);
        let may_become = |at: &usize| {
            let rest = &bytes[*at..];
            self.strings
                .iter()
                .any(|string| string.len() > rest.len() && string.starts_with(rest))
        };
        (first..bytes.len()).find(may_become).unwrap_or(bytes.len())
    }

    /// Where the first occurrence begins that is on both sides of the cut.
    fn around(&self, bytes: &[u8], cut: usize) -> Option<usize> {
        if cut == bytes.len() {
            return None;
        }
        let first = cut.saturating_sub(self.longest - 1);
        let is_around = |at: &usize| {
            self.strings
                .iter()
                .any(|string| at + string.len() > cut && bytes[*at..].starts_with(string))
        };
        (first..cut).find(is_around)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interest(strings: &[&str]) -> Interest {
        Interest::new(strings.iter().map(|string| string.as_bytes().to_vec()).collect())
            .expect("they are legal")
    }

    #[test]
    fn strings_beyond_the_limits_are_illegal() {
        let of = |number: usize, length: usize| Interest::new(vec![vec![b'x'; length]; number]).is_ok();
        assert!(of(0, 0) && of(16, 64) && of(1, 1));
        assert!(!of(17, 1) && !of(1, 65) && !of(2, 0));
    }

    #[test]
    fn unit_is_of_interest_if_a_string_occurs_or_there_are_none() {
        assert!(interest(&[]).is_in(b""));
        for strings in [&["</body>"][..], &["</BODY>", "</body>"]] {
            assert!(interest(strings).is_in(b"a</body>b"));
            assert!(!interest(strings).is_in(b"a</Body>b"));
        }
    }

    #[test]
    fn cut_is_before_what_may_become_a_string() {
        let ends = interest(&["</body>", "</BODY>"]);
        for (bytes, cut) in [
            ("text", 4),
            ("text<", 4),
            ("text</bod", 4),
            ("a</body>", 8),
            ("<<", 1),
            ("</</", 2),
            ("</x", 3),
        ] {
            assert_eq!(ends.cut(bytes.as_bytes()), cut, "{bytes}");
        }
    }

    #[test]
    fn cut_is_not_inside_of_an_occurrence_either() {
        assert_eq!(interest(&["abab"]).cut(b"xabab"), 1);
        assert_eq!(interest(&["abc", "bcd"]).cut(b"xabc"), 1);
        assert_eq!(interest(&["aa"]).cut(b"xaaa"), 1);
    }

    #[test]
    fn occurrences_without_end_are_cut_all_the_same() {
        assert_eq!(interest(&["aa"]).cut(&[b'a'; 1000]), 999);
    }
}
