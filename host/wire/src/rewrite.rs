//! Rewrites paths on their way to a backend.

use crate::path::{self, EncodedSlashes};
use crate::refusal::Refusal;
use crate::target::Target;

/// A change of the beginning of paths: a prefix that is taken away, and one that is put in front of the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRewrite {
    /// Both are normalised, do not end with a slash, and may be empty.
    strip: String,
    add: String,
}

/// A rewritten target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The target.
    pub target: Target,
    /// Whether the path had the prefix that is taken away.
    pub is_stripped: bool,
}

/// The rewrite that only normalises.
pub static NORMALISED: PathRewrite = PathRewrite {
    strip: String::new(),
    add: String::new(),
};

impl PathRewrite {
    /// A rewrite that takes away `strip` where a path is at or below it, and then puts `add` in front. Both are normalised
    /// prefixes, or empty for none; a slash at their end is ignored.
    pub fn new(strip: &str, add: &str) -> PathRewrite {
        PathRewrite {
            strip: strip.trim_end_matches('/').to_owned(),
            add: add.trim_end_matches('/').to_owned(),
        }
    }

    /// The prefix that is taken away, without a slash at its end.
    pub fn strip(&self) -> &str {
        &self.strip
    }

    /// The prefix that is put in front, without a slash at its end.
    pub fn add(&self) -> &str {
        &self.add
    }

    /// Rewrites a target. The query stays as it is, and so does `*`.
    ///
    /// The path is at or below the added prefix whatever the target: a path that somebody has edited is normalised before.
    ///
    /// # Errors
    ///
    /// The path has been edited and is none that a request could have.
    pub fn apply(&self, target: &Target, slashes: EncodedSlashes) -> Result<Rewritten, Refusal> {
        let mut normalised = String::new();
        let path = match target.path() {
            "*" => {
                return Ok(Rewritten {
                    target: target.clone(),
                    is_stripped: false,
                });
            }
            path if path::plain(path.as_bytes()).is_some() => path,
            path => {
                path::normalise(path.as_bytes(), slashes, &mut normalised)?;
                &normalised
            }
        };
        let behind = match self.strip.as_str() {
            "" => None,
            strip => path::behind(path, strip),
        };
        let rest = behind.unwrap_or(path);
        let mut rewritten = String::with_capacity(self.add.len() + target.as_str().len() + 1);
        rewritten.push_str(&self.add);
        rewritten.push_str(rest);
        if rewritten.is_empty() {
            rewritten.push('/');
        }
        Ok(Rewritten {
            target: Target::with_query(rewritten, target.query()),
            is_stripped: behind.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLASHES: EncodedSlashes = EncodedSlashes::Refuse;

    fn target(path_and_query: &str) -> Target {
        let mut target = Target::default();
        target.set(path_and_query);
        target
    }

    fn rewritten((strip, add): (&str, &str), path_and_query: &str) -> Result<(String, bool), Refusal> {
        let rewritten = PathRewrite::new(strip, add).apply(&target(path_and_query), SLASHES)?;
        Ok((rewritten.target.as_str().to_owned(), rewritten.is_stripped))
    }

    #[test]
    fn prefix_is_stripped_and_another_put_in_its_place() {
        for (rewrite, before, after, is_stripped) in [
            (("/v1", "/api"), "/v1/users?x=/v1", "/api/users?x=/v1", true),
            (("/v1", "/api"), "/v1", "/api", true),
            (("/v1", "/api"), "/v1/", "/api/", true),
            (("/v1", "/api"), "/v10", "/api/v10", false),
            (("/v1/", "/api/"), "/v1/users", "/api/users", true),
            (("/v1", ""), "/v1/users", "/users", true),
            (("/v1", ""), "/v1", "/", true),
            (("/v1", ""), "/v1?", "/?", true),
            (("/v1", ""), "/v1;x=1/users;y", "/users;y", true),
            (("", "/api"), "/", "/api/", false),
            (("", "/api"), "/users", "/api/users", false),
            (("/v1", "/api"), "*", "*", false),
        ] {
            assert_eq!(
                rewritten(rewrite, before),
                Ok((after.to_owned(), is_stripped)),
                "{before}"
            );
        }
    }

    #[test]
    fn edited_path_cannot_leave_the_added_prefix() {
        let rewrite = ("/v1", "/api/x");
        for (edited, after) in [
            ("/v1/../../admin", "/api/x/admin"),
            ("/v1/%2e%2E/admin", "/api/x/admin"),
            ("//v1//users", "/api/x/users"),
        ] {
            assert_eq!(
                rewritten(rewrite, edited).map(|(after, _)| after),
                Ok(after.to_owned()),
                "{edited}"
            );
        }
        assert_eq!(rewritten(rewrite, "/v1/..;x/admin"), Err(Refusal::Target));
        assert_eq!(rewritten(rewrite, "/v1/..%2fadmin"), Err(Refusal::EncodedSlash));
    }

    proptest! {
        #[test]
        fn rewritten_path_is_normalised_and_below_the_added_prefix(
            strip in "(/[ab]{1,2}){0,2}/?",
            add in "(/[cd]{1,2}){0,2}/?",
            path in "/[ab./;%2eE]{0,16}",
            query in proptest::option::of("[ab=&?/.]{0,8}"),
        ) {
            let query_part = query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
            let rewrite = PathRewrite::new(&strip, &add);
            if let Ok(Rewritten { target, .. }) = rewrite.apply(&target(&format!("{path}{query_part}")), SLASHES) {
                let mut again = String::new();
                path::normalise(target.path().as_bytes(), SLASHES, &mut again).expect("it is normalised");
                prop_assert_eq!(target.path(), again);
                prop_assert!(path::below(target.path(), add.trim_end_matches('/')), "{target:?}");
                prop_assert_eq!(target.query(), query.as_deref());
            }
        }
    }
}
