//! The oracle: what was seen at both ends, against what was sent.

mod compare;
pub(crate) mod requests;
pub(crate) mod responses;
#[cfg(test)]
mod tests;

use super::reader::{Read, RequestHead, ResponseHead};

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What it is, in the same words for all cases that are alike.
    pub(crate) kind: String,
    /// What was seen.
    pub(crate) detail: String,
}

fn wrong<T>(kind: impl Into<String>, detail: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        kind: kind.into(),
        detail: detail.into(),
    })
}

/// A client of HTTP/1.0 knows neither chunks nor interim responses.
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
