//! A problem that the operator must fix.

use std::fmt;
use std::path::PathBuf;

use super::address::ListenAddress;
use super::excerpt::Excerpt;
use pace_base::escape::Line;

/// A problem with its place. `Display` is its message, with the line if there is one.
#[derive(Debug)]
pub struct Problem {
    /// Where the problem is.
    pub location: Location,
    /// The key concerned, such as ``` `workers` in [server] ```.
    pub key: Option<String>,
    /// The fault.
    pub fault: Fault,
}

impl Problem {
    /// The message without the excerpt: one line, in which keys and values cannot command a terminal.
    pub fn headline(&self) -> String {
        let Problem { location, key, fault } = self;
        let message = match key {
            Some(key) => format!("{location}: {key}: {fault}"),
            None => format!("{location}: {fault}"),
        };
        Line(shortened(&message)).to_string()
    }
}

/// The most characters of a key or a value in a message.
const LONGEST_QUOTE: usize = 80;

/// Cuts what is quoted in a message, if it is very long: keys and values of the operator.
fn shortened(message: &str) -> String {
    let mut shown = String::with_capacity(message.len().min(1024));
    let mut rest = message;
    while let Some(at) = rest.find(['"', '`']) {
        let (before, behind) = rest.split_at(at + 1);
        let quote = &before[at..];
        shown.push_str(before);
        let Some(end) = end_of_quote(behind, quote) else {
            rest = behind;
            break;
        };
        let quoted = &behind[..end];
        match quoted.char_indices().nth(LONGEST_QUOTE) {
            Some((cut, _)) => {
                shown.push_str(&quoted[..cut]);
                shown.push('…');
            }
            None => shown.push_str(quoted),
        }
        shown.push_str(quote);
        rest = &behind[end + 1..];
    }
    shown.push_str(rest);
    shown
}

/// The end of what is quoted, where a quote behind a backslash is no end.
fn end_of_quote(text: &str, quote: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = !is_escaped && quote.starts_with(c);
        is_escaped = !is_escaped && c == '\\';
        ends.then_some(at)
    })
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        match &self.location {
            Location::Line(_, excerpt) => write!(f, "\n{excerpt}"),
            Location::File(_) | Location::CommandLine(_) => Ok(()),
        }
    }
}

/// Where a problem is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A line of a file.
    Line(PathBuf, Excerpt),
    /// A file, in no single line.
    File(PathBuf),
    /// An option of the command line, or the lack of one.
    CommandLine(Option<&'static str>),
}

impl Location {
    /// Orders problems as the operator reads: command line, whole file, line by line.
    pub fn position(&self) -> (usize, usize) {
        match self {
            Location::CommandLine(_) | Location::File(_) => (0, 0),
            Location::Line(_, excerpt) => (excerpt.line(), excerpt.column()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Line(path, at) => write!(f, "{}:{}:{}", path.display(), at.line(), at.column()),
            Location::File(path) => path.display().fmt(f),
            Location::CommandLine(option) => f.write_str(option.unwrap_or("command line")),
        }
    }
}

/// The fault of a problem. The operator can fix every case; the last one may also be the resolver's.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The text is not TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// A key does not exist.
    #[error("unknown key `{key}` in {table}{}", suggestion(.key, .allowed))]
    UnknownKey {
        /// The key.
        key: String,
        /// The table that it is in.
        table: String,
        /// The keys that this table can have.
        allowed: Vec<String>,
    },
    /// A key without a default is missing.
    #[error("the key `{0}` is missing")]
    MissingKey(String),
    /// A value has the wrong type, or is a number outside its range.
    #[error("expected {expected}, found {found}")]
    WrongValue {
        /// The allowed value.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// A value of the right type is not allowed.
    #[error("{0}")]
    Refused(String),
    /// Keys of the short and of the full form are in one file.
    #[error(
        "{short} (line {line}) and {full} cannot be used together: the short form is [upstreams], [rate_limit] and \
         [headers], the full form is [[plugins]], [[pools]] and [[routes]]"
    )]
    MixedForms {
        /// A table of the short form.
        short: &'static str,
        /// The line of that table.
        line: usize,
        /// A list of the full form.
        full: &'static str,
    },
    /// The full form lacks a list without which no request can be served.
    #[error(
        "{0} is missing; a file with [[plugins]], [[pools]] or [[routes]] needs at least one route, and the pools that \
         routes name"
    )]
    MissingList(&'static str),
    /// The short form names no backends.
    #[error(
        "there is no backend: [upstreams] needs backends = [\"http://127.0.0.1:8000\"], or the command line --backend URL"
    )]
    NoBackends,
    /// Neither a file nor backends were given.
    #[error("there is no backend: give --backend URL, once or more, or a file with --config FILE")]
    NothingGiven,
    /// `--backend` is given with a file in which it has no meaning.
    #[error("takes the place of [upstreams] backends, but {0} has pools of its own; change them there")]
    BackendsWithPools(String),
    /// A pool has no backends.
    #[error("a pool needs at least one backend")]
    EmptyPool,
    /// A pool has more backends than plugins can count.
    #[error("a pool has at most 65535 backends, this one has {0}")]
    TooManyBackends(usize),
    /// Two keys give different numbers of attempts.
    #[error("`retry.attempts`, which counts the first attempt too, says another number; give one of both")]
    RetriesAndAttempts,
    /// A backend is in a pool twice.
    #[error("{backend} is already in this pool ({}); to send it more requests, give it a `weight`", listed_before(.line))]
    SameBackend {
        /// The backend's host and port.
        backend: String,
        /// The line of its first entry; `None` for the command line.
        line: Option<usize>,
    },
    /// Two plugins, pools or routes have one name.
    #[error("the {kind} `{name}` is already defined on line {line}")]
    SameName {
        /// Plugin, pool or route.
        kind: &'static str,
        /// The name.
        name: String,
        /// The line of the first one.
        line: usize,
    },
    /// Two routes match the same requests.
    #[error("this route matches {matched}, as the route on line {line} does already")]
    SameMatch {
        /// The conditions.
        matched: String,
        /// The line of the first one.
        line: usize,
    },
    /// Two routes without names have one host and path, and differ in other conditions.
    #[error("the route on line {line} is called `{name}` already: give one of both a `name`")]
    SameDefaultName {
        /// Host and path.
        name: String,
        /// The line of the first one.
        line: usize,
    },
    /// A route lists a plugin twice.
    #[error("the plugin `{0}` is already in this route's list; define it a second time under another name")]
    SamePlugin(String),
    /// A route names a plugin or pool that is not defined.
    #[error("there is no {kind} `{name}`{}", suggestion(.name, .defined))]
    UnknownName {
        /// Plugin or pool.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names that are defined.
        defined: Vec<String>,
    },
    /// Every client could claim any address.
    #[error("needs `trusted_proxies`, the networks of those whose PROXY protocol headers are believed")]
    TrustsNobody,
    /// The admin API would be open to every client.
    #[error("clients connect to {0} already; the admin API needs another")]
    SameListener(ListenAddress),
}

/// The end of an "unknown ..." message: the nearest name, and all of them.
pub fn suggestion<S: AsRef<str>>(unknown: &str, known: &[S]) -> String {
    if known.is_empty() {
        return "; none is defined".to_owned();
    }
    let likeness = |name: &S| strsim::jaro_winkler(unknown, name.as_ref());
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let mut text = match nearest.filter(|name| likeness(name) > 0.8) {
        Some(name) => format!(": did you mean `{}`? Allowed: ", name.as_ref()),
        None => ". Allowed: ".to_owned(),
    };
    for (index, name) in known.iter().enumerate() {
        let separator = if index > 0 { ", " } else { "" };
        text.push_str(&format!("{separator}`{}`", name.as_ref()));
    }
    text
}

fn listed_before(line: &Option<usize>) -> String {
    line.map_or("given twice".to_owned(), |line| format!("line {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_and_values_are_cut() {
        let long = "x".repeat(500);
        let cut = format!("{}…", "x".repeat(80));
        for (message, shown) in [
            (
                format!("unknown key `{long}` in [server]"),
                format!("unknown key `{cut}` in [server]"),
            ),
            (format!("{long:?} is no path"), format!("{cut:?} is no path")),
            (
                format!("\"a\\\"{long}\" and `b`"),
                format!("\"a\\\"{}…\" and `b`", "x".repeat(77)),
            ),
            (
                "it's \"short\" and `open".to_owned(),
                "it's \"short\" and `open".to_owned(),
            ),
        ] {
            assert_eq!(shortened(&message), shown);
        }
    }

    #[test]
    fn suggestion_names_the_nearest_and_all_others() {
        let known = ["listen", "workers"];
        assert_eq!(
            suggestion("lisen", &known),
            ": did you mean `listen`? Allowed: `listen`, `workers`"
        );
        assert_eq!(suggestion("zzz", &known), ". Allowed: `listen`, `workers`");
        assert_eq!(suggestion::<&str>("zzz", &[]), "; none is defined");
    }
}
