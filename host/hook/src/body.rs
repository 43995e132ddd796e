//! Failures of filters that cannot be shown a body.

use pace_content::collect::CollectError;
use pace_content::decode::DecodeError;
use pace_content::frames::Framing;

use crate::{Failure, FailureReason};

impl Failure {
    /// The body has more bytes than the plugin may be shown.
    pub fn body_too_large(limit: usize) -> Failure {
        Failure {
            reason: FailureReason::BodyTooLarge,
            detail: format!("the body has more than {limit} bytes"),
        }
    }

    /// A body could not be collected for plugins that may be shown so many bytes.
    pub fn uncollected(error: &CollectError, limit: usize) -> Failure {
        match error {
            CollectError::TooLarge => Failure::body_too_large(limit),
            CollectError::Budget => Failure::no_memory_for_body(),
            CollectError::Encoding(error) => Failure::undecodable(error),
        }
    }

    /// The bodies that are held or decoded take as much memory as they may.
    pub fn no_memory_for_body() -> Failure {
        Failure {
            reason: FailureReason::BodyBudget,
            detail: "there is no memory for the body".to_owned(),
        }
    }

    /// A body is not what its coding says.
    pub fn undecodable(error: &DecodeError) -> Failure {
        Failure {
            reason: FailureReason::BodyEncoding,
            detail: error.to_string(),
        }
    }

    /// The backend has sent a part of the whole (206), and cannot be asked for more.
    pub fn body_partial() -> Failure {
        Failure {
            reason: FailureReason::BodyPartial,
            detail: "the backend has sent a part of the whole".to_owned(),
        }
    }

    /// The body has a coding that Pace does not know.
    pub fn unknown_coding() -> Failure {
        Failure {
            reason: FailureReason::BodyEncoding,
            detail: "its content-encoding is not one of gzip, deflate, br and zstd".to_owned(),
        }
    }

    /// A unit is longer than the plugin's `limits.unit_kb`.
    pub fn unit_too_large(framing: Framing) -> Failure {
        let unit = match framing {
            Framing::Event => "server-sent event",
            Framing::Line | Framing::Chunk => "line",
        };
        Failure {
            reason: FailureReason::UnitTooLarge,
            detail: format!("a {unit} is longer than `limits.unit_kb`"),
        }
    }
}
