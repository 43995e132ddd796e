//! Places for figures in a page.
//!
//! A place lies between `<!-- measured: NAME -->` and `<!-- end -->`. The text between the two is replaced;
//! the rest is written by hand, and has no figures of its own.

use anyhow::{Context, Result};

/// Fills the places of a page, each with the text that `figures` returns for its name.
pub(crate) fn filled(page: &str, figures: impl Fn(&str) -> Result<String>) -> Result<String> {
    const BEGIN: &str = "<!-- measured: ";
    const END: &str = "<!-- end -->";
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->").context("a place has no name")?;
        let (_, after) = after
            .split_once(END)
            .with_context(|| format!("the place `{name}` has no end"))?;
        text += &format!("{before}{BEGIN}{name} -->\n{}{END}", figures(name)?);
        rest = after;
    }
    Ok(text + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_replaces_places_and_keeps_the_rest() {
        let page = "before\n<!-- measured: a -->\nold\n<!-- end -->\nbetween\n<!-- measured: b --><!-- end -->\nafter\n";
        let new = filled(page, |name| Ok(format!("new {name}\n"))).expect("the page is well-formed");
        let expected = "before\n<!-- measured: a -->\nnew a\n<!-- end -->\nbetween\n\
            <!-- measured: b -->\nnew b\n<!-- end -->\nafter\n";
        assert_eq!(new, expected);
        assert_eq!(
            filled(&new, |name| Ok(format!("new {name}\n"))).expect("it still is"),
            new
        );
        assert!(filled("<!-- measured: a -->", |_| Ok(String::new())).is_err());
    }
}
