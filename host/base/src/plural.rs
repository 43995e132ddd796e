//! Numbers of things in sentences.

use std::fmt;

/// A number and the noun for one thing, whose plural ends in `s`: `1 route`, `2 routes`.
#[derive(Clone, Copy, Debug)]
pub struct Plural(pub usize, pub &'static str);

impl fmt::Display for Plural {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plural(number, noun) = self;
        let ending = if *number == 1 { "" } else { "s" };
        write!(out, "{number} {noun}{ending}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_thing_is_singular() {
        let texts = [0, 1, 2].map(|number| Plural(number, "route").to_string());
        assert_eq!(texts, ["0 routes", "1 route", "2 routes"]);
    }
}
