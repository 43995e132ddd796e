//! The `Via` field, which names the proxies on the way of a message (RFC 9110, section 7.6.3).

use std::sync::OnceLock;

use http::Version;

/// What this process writes into `Via`.
///
/// To others it goes by a pseudonym, which many may have. A comment behind it tells this process from all others, so that a
/// request that comes back to it is found out: it would come again and again, until there are no descriptors left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Of a request that came as HTTP/1.0 and as HTTP/1.1.
    request: [String; 2],
    /// The same of a response.
    response: [String; 2],
}

impl Via {
    /// For a pseudonym, which is a token.
    pub fn new(pseudonym: &str) -> Via {
        let versions = ["1.0", "1.1"];
        Via {
            request: versions.map(|version| format!("{version} {pseudonym} ({})", id())),
            response: versions.map(|version| format!("{version} {pseudonym}")),
        }
    }

    /// The value for a request that came in this version.
    pub fn of_request(&self, version: Version) -> &str {
        &self.request[usize::from(version == Version::HTTP_11)]
    }

    /// The value for a response that came in this version.
    pub fn of_response(&self, version: Version) -> &str {
        &self.response[usize::from(version == Version::HTTP_11)]
    }

    /// Whether a request with this value has been here before.
    pub fn is_in(&self, value: &[u8]) -> bool {
        let id = id().as_bytes();
        value.windows(id.len()).any(|part| part == id)
    }
}

/// A number of this process that no other has.
fn id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| format!("{:016x}", fastrand::u64(..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_that_was_here_is_found_and_those_of_namesakes_are_not() {
        let via = Via::new("pace");
        let value = format!("1.0 other, {}, 1.1 third", via.of_request(Version::HTTP_11));
        assert!(via.is_in(value.as_bytes()));
        assert!(!via.is_in(b"1.1 pace, 1.1 pace (0123456789abcdef)"));
        assert_eq!(via.of_response(Version::HTTP_10), "1.0 pace");
    }
}
