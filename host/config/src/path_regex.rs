//! Regular expressions over paths.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, Look};

/// A regular expression that a path is searched for. A search takes time linear in the path.
///
/// Paths are ASCII, and so is the expression: classes such as `\d` and `[^/]` are those of ASCII.
#[derive(Clone)]
pub struct PathRegex {
    text: String,
    regex: Regex,
    is_anchored: bool,
    matches_every_path: bool,
}

/// The most characters of an expression.
const MAX_LENGTH: usize = 1024;

/// The most bytes of a compiled expression, and of the memory that a worker uses to search for it faster.
const MAX_SIZE: usize = 256 << 10;

/// The deepest nesting of groups.
const MAX_NESTING: u32 = 50;

impl PathRegex {
    /// Parses an expression. The error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<PathRegex, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("it has more than {MAX_LENGTH} characters"));
        }
        if !text.is_ascii() {
            return Err(format!(
                "{text:?} must be ASCII, as paths are: write other characters percent-encoded, as `caf%C3%A9`"
            ));
        }
        let hir = hir(text).map_err(|reason| format!("{text:?} is not a regular expression: {reason}"))?;
        let is_anchored = hir.properties().look_set_prefix().contains(Look::Start);
        if !may_match(&hir, is_anchored) {
            return Err(format!("{text:?} matches no path: paths begin with `/`"));
        }
        let regex = RegexBuilder::new(text)
            .unicode(false)
            .nest_limit(MAX_NESTING)
            .size_limit(MAX_SIZE)
            .dfa_size_limit(MAX_SIZE)
            .build()
            .map_err(|_| {
                format!(
                    "{text:?} takes more than {} KiB when it is compiled",
                    MAX_SIZE >> 10
                )
            })?;
        Ok(PathRegex {
            matches_every_path: matches_every_path(text, &regex),
            text: text.to_owned(),
            regex,
            is_anchored,
        })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is found in a path.
    pub fn is_match(&self, path: &str) -> bool {
        self.regex.is_match(path.as_bytes())
    }

    /// Whether it is looked for at the beginning of a path only.
    pub fn is_anchored(&self) -> bool {
        self.is_anchored
    }

    /// Whether it is certain to be found in every path, as `^/` is. An expression in which this is hard to see may be
    /// found in every path without being certain.
    pub fn matches_every_path(&self) -> bool {
        self.matches_every_path
    }
}

impl PartialEq for PathRegex {
    fn eq(&self, other: &PathRegex) -> bool {
        self.text == other.text
    }
}

impl Eq for PathRegex {}

impl fmt::Debug for PathRegex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(out)
    }
}

/// The expression, taken apart. The error is a sentence without its beginning.
fn hir(text: &str) -> Result<Hir, String> {
    let mut parser = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(MAX_NESTING)
        .build();
    parser.parse(text).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => {
            format!("{} (character {})", error.kind(), error.span().start.column)
        }
        regex_syntax::Error::Translate(error) => {
            format!("{} (character {})", error.kind(), error.span().start.column)
        }
        _ => "it cannot be read".to_owned(),
    })
}

/// Whether an expression that is looked for at the beginning alone can begin with the first character of a path.
fn may_match(hir: &Hir, is_anchored: bool) -> bool {
    let beginnings = Extractor::new().extract(hir);
    match beginnings.literals() {
        Some(literals) if is_anchored => literals
            .iter()
            .any(|literal| literal.as_bytes().first().is_none_or(|first| *first == b'/')),
        Some(literals) => !literals.is_empty(),
        None => true,
    }
}

/// An expression that is found in `/`, and that asks nothing of what follows, is found in every path.
fn matches_every_path(text: &str, regex: &Regex) -> bool {
    // The rest of the path, whatever it is.
    let asked = text.strip_suffix(".*$").unwrap_or(text);
    let asks_of_its_end = |hir: Hir| !hir.properties().look_set().remove(Look::Start).is_empty();
    regex.is_match(b"/") && hir(asked).is_ok_and(|hir| !asks_of_its_end(hir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> PathRegex {
        PathRegex::parse(text).unwrap_or_else(|reason| panic!("{reason}"))
    }

    #[test]
    fn expression_is_searched_for_unless_it_is_anchored() {
        let users = regex("^/u/[0-9]+$");
        assert!(users.is_match("/u/7") && !users.is_match("/u/7/x") && !users.is_match("/a/u/7"));
        let anywhere = regex("/u/\\d");
        assert!(anywhere.is_match("/a/u/7x") && !anywhere.is_match("/a/u/x"));
        assert!(users.is_anchored() && !anywhere.is_anchored());
        assert!(regex("^/a|^/b").is_anchored() && !regex("^/a|/b").is_anchored());
        assert!(regex("(?i)^/API/[^/]+").is_match("/api/x"));
    }

    #[test]
    fn expression_that_cannot_be_meant_is_refused() {
        for (text, reason) in [
            ("(", "is not a regular expression: unclosed group (character 1)"),
            ("a**{", "is not a regular expression"),
            ("(?=a)", "look-around"),
            ("(a)\\1", "backreferences are not supported"),
            ("^api/", "matches no path: paths begin with `/`"),
            ("^(a|b)/", "matches no path"),
            ("[^\\x00-\\xff]", "matches no path"),
            ("/café", "must be ASCII"),
            ("[a-z]{1000}{1000}", "takes more than 256 KiB"),
            (&"(".repeat(60), "is not a regular expression"),
            (&"a".repeat(1025), "more than 1024 characters"),
        ] {
            let error = PathRegex::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn expression_found_in_every_path_is_recognised() {
        for text in ["", "/", "^/", "^/.*", "^/.*$", ".*", "^.*$", "^", "/|^/a", "^/?"] {
            assert!(regex(text).matches_every_path(), "{text}");
        }
        for text in ["^/$", "/$", "^/a", "^/.", "$", "/\\b", "^/[^a]*$"] {
            assert!(!regex(text).matches_every_path(), "{text}");
        }
    }
}
