use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::OpenError;

/// The meaning of a metric: what all plugins that have one of its name agree about.
#[derive(Debug, PartialEq)]
pub struct Definition {
    name: Box<str>,
    help: Box<str>,
    labels: Box<[Box<str>]>,
    kind: Kind,
}

/// The kind of a metric.
#[derive(Debug, PartialEq)]
pub enum Kind {
    /// A sum that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// The number of values in each of several ranges, by the upper bounds of these.
    Histogram(Box<[f64]>),
}

const LONGEST_NAME: usize = 64;
const LONGEST_HELP: usize = 256;

/// The most labels of a metric.
pub const MAX_LABELS: usize = 8;

/// The most bounds of a histogram.
pub const MAX_BOUNDS: usize = 32;

/// Labels that the export adds.
const TAKEN: [&str; 2] = ["plugin", "le"];

/// The endings of the names under which a histogram is exported.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

impl Definition {
    /// [`OpenError::InvalidName`] unless metric and labels have 1 to 64 characters, `a-z` first and then `a-z`,
    /// `0-9` and `_`, and no label is `plugin` or `le`. [`OpenError::InvalidArgument`] beyond 256 bytes of help
    /// and 8 labels, for a label that is there twice, and unless the bounds are 1 to 32 finite numbers that
    /// ascend.
    pub fn new(
        name: &str,
        help: &str,
        labels: &[impl AsRef<str>],
        kind: Kind,
    ) -> Result<Definition, OpenError> {
        if labels.len() > MAX_LABELS || help.len() > LONGEST_HELP {
            return Err(OpenError::InvalidArgument);
        }
        let is_label = |label: &str| is_name(label) && !TAKEN.contains(&label);
        if !is_name(name) || !labels.iter().all(|label| is_label(label.as_ref())) {
            return Err(OpenError::InvalidName);
        }
        let is_twice = |(number, label): (usize, &_)| {
            let others = labels[..number].iter();
            others
                .map(AsRef::as_ref)
                .any(|other| other == AsRef::as_ref(label))
        };
        if labels.iter().enumerate().any(is_twice) || !kind.is_valid() {
            return Err(OpenError::InvalidArgument);
        }
        Ok(Definition {
            name: name.into(),
            help: help.into(),
            labels: labels.iter().map(|label| label.as_ref().into()).collect(),
            kind,
        })
    }

    /// The name, as the plugin says it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sentence that the export has about it.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// The names of the labels.
    pub fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    /// The kind.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The upper bounds of a histogram.
    pub(super) fn bounds(&self) -> &[f64] {
        match &self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Counter | Kind::Gauge => &[],
        }
    }

    fn is_histogram(&self) -> bool {
        matches!(self.kind, Kind::Histogram(_))
    }
}

impl Kind {
    fn is_valid(&self) -> bool {
        match self {
            Kind::Counter | Kind::Gauge => true,
            Kind::Histogram(bounds) => {
                (1..=MAX_BOUNDS).contains(&bounds.len())
                    && bounds.iter().all(|bound| bound.is_finite())
                    && bounds.is_sorted_by(|a, b| a < b)
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// All definitions in use. One lives as long as a metric has it.
#[derive(Default)]
pub(crate) struct Definitions(Mutex<Names>);

#[derive(Default)]
struct Names(HashMap<Box<str>, Weak<Definition>>);

impl Definitions {
    /// The definition that is in use, or this one from now on. [`OpenError::Conflict`] if there is another of
    /// its name, or a histogram is exported under it.
    pub(super) fn enter(&self, new: Definition) -> Result<Arc<Definition>, OpenError> {
        let mut names = self.0.lock();
        if let Some(there) = names.find(&new.name) {
            return if *there == new {
                Ok(there)
            } else {
                Err(OpenError::Conflict)
            };
        }
        if names.mixes_with_a_histogram(&new) {
            return Err(OpenError::Conflict);
        }
        let new = Arc::new(new);
        names.0.retain(|_, there| there.strong_count() > 0);
        names.0.insert(new.name.clone(), Arc::downgrade(&new));
        Ok(new)
    }
}

impl Names {
    fn find(&self, name: &str) -> Option<Arc<Definition>> {
        self.0.get(name).and_then(Weak::upgrade)
    }

    /// Whether the export would have two metrics of one name: a histogram `a` and another metric `a_count`.
    fn mixes_with_a_histogram(&self, new: &Definition) -> bool {
        let is_part = |part: &&str| {
            let whole = new.name.strip_suffix(*part).and_then(|whole| self.find(whole));
            whole.is_some_and(|whole| whole.is_histogram())
        };
        let has_part = |part: &&str| self.find(&format!("{}{part}", new.name)).is_some();
        PARTS.iter().any(is_part) || new.is_histogram() && PARTS.iter().any(has_part)
    }
}
