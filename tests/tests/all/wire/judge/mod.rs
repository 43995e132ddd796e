//! The oracle: what was seen at both ends, against what was sent.

mod compare;
pub(crate) mod requests;
pub(crate) mod responses;
#[cfg(test)]
mod tests;

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
