//! From a run to the pages that have its figures.
//!
//! A page has places for tables, each between `<!-- measured: NAME -->` and `<!-- end -->`. What is between the two
//! is replaced; the rest is written by hand, and has no figures of its own. The run is kept beside the page, and a
//! test holds the two against each other.

use super::result::{Run, Scene};
use super::{plot, table};
use crate::cargo;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;

/// Pages with figures.
const PAGES: [&str; 2] = ["README.md", "docs/performance.md"];

/// The run that they are from, and its plot.
const RUN: &str = "docs/performance.json";
const PLOT: &str = "docs/performance.svg";

/// The file of the run whose figures the pages have.
pub(crate) fn published() -> PathBuf {
    cargo::root().join(RUN)
}

/// Writes the figures of a run into the pages of the repository.
pub(crate) fn publish(run: &Run) -> Result<()> {
    for (file, text) in pages(run)? {
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!(
            "{} is written",
            file.strip_prefix(cargo::root()).unwrap_or(&file).display()
        );
    }
    Ok(())
}

/// What each file should have.
fn pages(run: &Run) -> Result<Vec<(PathBuf, String)>> {
    let mut pages = vec![
        (published(), run.json()?),
        (cargo::root().join(PLOT), place("plot", run)?),
    ];
    for page in PAGES {
        let file = cargo::root().join(page);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {page}"))?;
        let text = filled(&text, |name| place(name, run)).with_context(|| page)?;
        pages.push((file, text));
    }
    Ok(pages)
}

/// What belongs in a place.
fn place(name: &str, run: &Run) -> Result<String> {
    let ladder = || match run.scene("ladder")? {
        Scene::Load(scene) => Ok(scene),
        _ => bail!("the ladder is not about load"),
    };
    Ok(match name {
        "machine" => format!("Measured on {}.\n", run.machine),
        "summary" => table::summary(ladder()?),
        "plot" => plot::svg(ladder()?),
        scene => table::of(run.scene(scene)?),
    })
}

/// A page with its places filled.
fn filled(page: &str, place: impl Fn(&str) -> Result<String>) -> Result<String> {
    const BEGIN: &str = "<!-- measured: ";
    const END: &str = "<!-- end -->";
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->").context("a place has no name")?;
        let (_, after) = after
            .split_once(END)
            .with_context(|| format!("the place `{name}` has no end"))?;
        text += &format!("{before}{BEGIN}{name} -->\n{}{END}", place(name)?);
        rest = after;
    }
    Ok(text + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_the_rest_is_kept() {
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

    #[test]
    fn the_pages_say_what_was_measured() {
        let run = Run::read(&published()).expect("a run is published");
        for (file, text) in pages(&run).expect("it has every scene") {
            let found = fs::read_to_string(&file).expect("it is published");
            assert!(
                found == text,
                "{} differs from the run: `cargo xtask bench --publish-only` writes it again",
                file.display()
            );
        }
    }
}
