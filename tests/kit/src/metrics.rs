//! Pace's counters, read from its Prometheus text.

use std::collections::BTreeMap;

/// All metrics at one moment.
#[derive(Debug)]
pub struct Metrics(Vec<Sample>);

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the text format, version 0.0.4.
    ///
    /// # Panics
    ///
    /// If a line is not of that format.
    pub fn parse(text: &str) -> Metrics {
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics(
            samples
                .map(|line| Sample::parse(line).unwrap_or_else(|| panic!("not a metric: {line}")))
                .collect(),
        )
    }

    /// The sum of the samples of this name that have all these labels; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.matching(name, labels)
            .map(|sample| sample.value)
            .sum::<f64>() as u64
    }

    /// Whether a sample of this name has all these labels.
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.matching(name, labels).next().is_some()
    }

    /// The names of all samples.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|sample| sample.name.as_str())
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        })
    }
}

impl Sample {
    /// Reads `name{label="value",...} number`. Pace's label values contain no quote and no comma.
    fn parse(line: &str) -> Option<Sample> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        let labels = labels
            .split(',')
            .filter(|label| !label.is_empty())
            .map(|label| {
                let (label, value) = label.split_once('=')?;
                let value = value.strip_prefix('"')?.strip_suffix('"')?;
                Some((label.to_owned(), value.to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Sample {
            name: name.to_owned(),
            labels,
            value: value.parse().ok()?,
        })
    }
}
