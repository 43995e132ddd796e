//! Writes the figures of a run into the pages that show them.
//!
//! The run is kept beside the pages, and a test compares the two.

use super::result::{Run, Scene};
use super::{plot, table};
use crate::places::filled;
use anyhow::{Context, Result, bail};
use pace_kit::root;
use std::fs;
use std::path::PathBuf;

/// Pages with figures.
const PAGES: [&str; 2] = ["README.md", "docs/performance.md"];

/// The run that the figures are from, and its plot.
const RUN: &str = "docs/performance.json";
const PLOT: &str = "docs/performance.svg";

/// The file of the run whose figures the pages show.
pub(crate) fn published() -> PathBuf {
    root().join(RUN)
}

/// Writes the figures of a run into the pages of the repository.
pub(crate) fn publish(run: &Run) -> Result<()> {
    for (file, text) in pages(run)? {
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!(
            "{} is written",
            file.strip_prefix(root()).unwrap_or(&file).display()
        );
    }
    Ok(())
}

/// The content that each file should have.
fn pages(run: &Run) -> Result<Vec<(PathBuf, String)>> {
    let mut pages = vec![
        (published(), run.json()?),
        (root().join(PLOT), place("plot", run)?),
    ];
    for page in PAGES {
        let file = root().join(page);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {page}"))?;
        let text = filled(&text, |name| place(name, run)).with_context(|| page)?;
        pages.push((file, text));
    }
    Ok(pages)
}

/// The text for a place.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_the_published_figures() {
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
