//! The oracle: compares what was seen at both ends with what was sent.

mod compare;
pub(crate) mod requests;
pub(crate) mod responses;
#[cfg(test)]
mod tests;

use super::reader::{Read, RequestHead, ResponseHead};

/// A failure: something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The kind of failure, in the same words for all similar cases.
    pub(crate) kind: String,
    /// The messages that were seen.
    pub(crate) detail: String,
}

fn wrong<T>(kind: impl Into<String>, detail: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        kind: kind.into(),
        detail: detail.into(),
    })
}

/// Checks an answer to HTTP/1.0, which has neither chunks nor interim responses.
fn check_old(
    answer: &Read<ResponseHead>,
    asked: &RequestHead,
    detail: impl Fn() -> String,
) -> Result<(), Wrong> {
    match &answer.head {
        Some(head) if asked.minor == 0 && head.fields.has("transfer-encoding") => {
            wrong("an answer in chunks to HTTP/1.0", detail())
        }
        Some(head) if asked.minor == 0 && !head.interim.is_empty() => {
            wrong("an interim answer to HTTP/1.0", detail())
        }
        Some(_) | None => Ok(()),
    }
}
