//! The `Via` field, which names the proxies on the way of a message (RFC 9110, section 7.6.3).

use std::sync::OnceLock;

use http::Version;

/// The values of `Via` that this process writes.
///
/// A value names the process by a pseudonym, which others may share. A comment behind the pseudonym tells this process from
/// all others, so that a request that comes back is recognised: without that it would come again and again, until there are
/// no descriptors left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The values for requests that came as HTTP/1.0, as HTTP/1.1 and as HTTP/2.
    request: [String; 3],
    /// The values for responses in these versions.
    response: [String; 3],
}

impl Via {
    /// The values for a pseudonym, which is a token.
    pub fn new(pseudonym: &str) -> Via {
        let versions = ["1.0", "1.1", "2.0"];
        Via {
            request: versions.map(|version| format!("{version} {pseudonym} ({})", id())),
            response: versions.map(|version| format!("{version} {pseudonym}")),
        }
    }

    /// The value for a request that came in this version.
    pub fn of_request(&self, version: Version) -> &str {
        &self.request[index(version)]
    }

    /// The value for a response that came in this version.
    pub fn of_response(&self, version: Version) -> &str {
        &self.response[index(version)]
    }

    /// Whether this process has written a part of the value, so that the request has been here before.
    pub fn is_in(&self, value: &[u8]) -> bool {
        let id = id().as_bytes();
        value.windows(id.len()).any(|part| part == id)
    }
}

fn index(version: Version) -> usize {
    match version {
        Version::HTTP_2 => 2,
        Version::HTTP_11 => 1,
        _ => 0,
    }
}

/// A random number that identifies this process.
fn id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| format!("{:016x}", fastrand::u64(..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_this_process_is_found_and_that_of_a_namesake_is_not() {
        let via = Via::new("pace");
        let value = format!("1.0 other, {}, 1.1 third", via.of_request(Version::HTTP_11));
        assert!(via.is_in(value.as_bytes()));
        assert!(!via.is_in(b"1.1 pace, 1.1 pace (0123456789abcdef)"));
        assert_eq!(via.of_response(Version::HTTP_10), "1.0 pace");
    }
}
