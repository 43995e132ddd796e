//! The identity of a trace, as `traceparent` has it (W3C Trace Context, level 1).

use crate::telemetry::hex;

/// The identity of a span.
pub type SpanId = [u8; 8];

/// The trace of a request, with the span that is Pace's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The identity of the trace.
    pub id: [u8; 16],
    /// The span that the request comes from, if the trace is continued.
    pub parent: Option<SpanId>,
    /// The span of the request.
    pub span: SpanId,
    /// Whether spans are recorded.
    pub is_sampled: bool,
}

/// The value of the field.
pub type Traceparent = [u8; LENGTH];

/// The length of `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;

/// The flag that says that the caller may have recorded the request.
const SAMPLED: u8 = 1;

impl Trace {
    /// Continues the trace of this field; `None` if it is not valid.
    pub fn continued(traceparent: &[u8]) -> Option<Trace> {
        let (head, rest) = traceparent.split_at_checked(LENGTH)?;
        let [version] = digits(&head[..2])?;
        // Later versions may have more behind the flags, but not this one.
        let is_complete = match version {
            0 => rest.is_empty(),
            0xff => return None,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        if !is_complete || [head[2], head[35], head[52]] != *b"---" {
            return None;
        }
        let id = digits(&head[3..35])?;
        let parent = digits(&head[36..52])?;
        let [flags] = digits(&head[53..])?;
        if id == [0; 16] || parent == [0; 8] {
            return None;
        }
        Some(Trace {
            id,
            parent: Some(parent),
            span: Trace::new_span(),
            is_sampled: flags & SAMPLED != 0,
        })
    }

    /// Begins a trace.
    pub fn new(is_sampled: bool) -> Trace {
        Trace {
            id: not_zero(|| fastrand::u128(..).to_be_bytes()),
            parent: None,
            span: Trace::new_span(),
            is_sampled,
        }
    }

    /// A new span.
    pub fn new_span() -> SpanId {
        not_zero(|| fastrand::u64(..).to_be_bytes())
    }

    /// The field for a request that is sent as this span.
    pub fn traceparent(&self, span: SpanId) -> Traceparent {
        let mut field = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::write(&mut field[3..35], &self.id);
        hex::write(&mut field[36..52], &span);
        hex::write(&mut field[53..], &[u8::from(self.is_sampled)]);
        field
    }
}

fn not_zero<const N: usize>(draw: impl Fn() -> [u8; N]) -> [u8; N] {
    loop {
        let drawn = draw();
        if drawn != [0; N] {
            return drawn;
        }
    }
}

/// The bytes that hexadecimal digits in lower case stand for.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn valid_field_is_continued_with_a_span_of_our_own() {
        let trace = Trace::continued(VALID.as_bytes()).expect("it is valid");
        assert!(trace.is_sampled);
        let sent = trace.traceparent(trace.span);
        let read = Trace::continued(&sent).expect("it is valid");
        assert_eq!((read.id, read.parent), (trace.id, Some(trace.span)));
        assert_ne!(trace.span, trace.parent.expect("it has one"));
        // Another version may have other flags, and more behind them.
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02-more";
        assert!(
            !Trace::continued(later.as_bytes())
                .expect("it is valid")
                .is_sampled
        );
    }

    #[test]
    fn invalid_field_is_not_continued() {
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::continued(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
