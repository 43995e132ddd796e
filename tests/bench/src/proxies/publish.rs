//! Writes the figures of a run into the pages that show them.
//!
//! The run is kept beside the pages, and a test compares the two.

use super::result::{Run, Scene};
use super::scenes::Scene as Question;
use super::{plot, table};
use crate::places::filled;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
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

/// Checks that a run has every scene that a page shows.
pub(crate) fn check(run: &Run) -> Result<()> {
    for page in PAGES {
        filled(&read(page)?, |name| {
            if is_scene(name) {
                run.scene(name)?;
            }
            Ok(String::new())
        })?;
    }
    Ok(())
}

/// Writes the figures of a run into the pages of the repository. A scene that was not measured is a sentence.
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
        let text = filled(&read(page)?, |name| place(name, run)).with_context(|| page)?;
        pages.push((root().join(page), text));
    }
    Ok(pages)
}

fn read(page: &str) -> Result<String> {
    fs::read_to_string(root().join(page)).with_context(|| format!("cannot read {page}"))
}

/// Whether a place has the name of a scene.
fn is_scene(name: &str) -> bool {
    Question::from_str(name, false).is_ok()
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
        scene if is_scene(scene) && !run.scenes.contains_key(scene) => format!(
            "Not measured yet: `cargo xtask bench --scene {scene}` prints this table, and writes it here with \
             `--out` and `--publish`.\n"
        ),
        scene => table::of(run.scene(scene)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    #[test]
    fn place_of_an_unmeasured_scene_names_the_command_and_keeps_it_from_being_published() {
        let run = Run::new(Machine::this().expect("this is Linux"));
        let text = place("workers", &run).expect("it is a scene");
        assert!(text.contains("cargo xtask bench --scene workers"), "{text}");
        assert!(
            place("worker", &run).is_err() && place("ladder", &run).is_ok() && place("plot", &run).is_err()
        );
        assert!(check(&run).is_err());
    }

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
