//! Finds the end of a head.

use memchr::memchr;

/// Finds the end of a head while its bytes arrive, and looks at each byte once: a client that sends single
/// bytes costs no more than one that sends everything at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    /// How many bytes have been scanned.
    seen: usize,
    /// Where the current line begins, of which `seen` is a part.
    line: usize,
}

/// A line ends with LF and no CR before it (RFC 9112, section 2.2). Servers differ on whether the line ends
/// there, so the message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BareLineFeed;

impl HeadScan {
    /// Scans the new bytes of `head`, which starts at the beginning of the head. Returns the length of the
    /// head with the empty line that ends it, once that has come.
    pub fn advance(&mut self, head: &[u8]) -> Result<Option<usize>, BareLineFeed> {
        while let Some(offset) = memchr(b'\n', &head[self.seen..]) {
            let feed = self.seen + offset;
            if feed == self.line || head[feed - 1] != b'\r' {
                return Err(BareLineFeed);
            }
            let is_empty = feed - self.line == 1;
            self.seen = feed + 1;
            self.line = self.seen;
            if is_empty {
                return Ok(Some(self.seen));
            }
        }
        self.seen = head.len();
        Ok(None)
    }

    /// Whether the first line has not ended yet.
    pub fn is_in_first_line(&self) -> bool {
        self.line == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advance_finds_the_end_in_any_pieces() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        assert_eq!(HeadScan::default().advance(head), Ok(Some(head.len() - 4)));
        let mut scan = HeadScan::default();
        for end in 0..head.len() - 4 {
            assert_eq!(scan.advance(&head[..end]), Ok(None), "{end}");
        }
        assert_eq!(scan.advance(head), Ok(Some(head.len() - 4)));
    }

    #[test]
    fn advance_bare_line_feed_is_refused_at_once() {
        for head in [
            "\n",
            "GET / HTTP/1.1\n",
            "GET / HTTP/1.1\r\nHost: a\n",
            "GET / HTTP/1.1\r\n\n",
            "a\r\n\r\r\n\n",
        ] {
            let mut scan = HeadScan::default();
            let found = (0..=head.len()).find_map(|end| scan.advance(&head.as_bytes()[..end]).err());
            assert_eq!(found, Some(BareLineFeed), "{head:?}");
        }
    }
}
