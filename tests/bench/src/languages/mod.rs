//! `cargo xtask languages`: measures the costs of a plugin in each language that `pace plugin new` knows.
//!
//! ```text
//! pace plugin new ──▶ build ──▶ plugin.wasm ──▶ check, bench ──▶ figures (docs/languages.json)
//!                                                                   └─▶ page (docs/plugins.md)
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `measure` | makes the projects and has Pace measure their plugins |
//! | `figures` | the figures, as they are kept |
//! | `page` | the table and text made from them |

mod figures;
mod measure;
mod page;

use crate::machine::Machine;
use anyhow::{Context, Error, Result, ensure};
use figures::{Figures, Language};
use measure::Workshop;
use pace_kit::Profile;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure only these languages
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Language>,

    /// The number of measurements of each language; the median is reported
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// The profile of Pace: only figures of release are about speed
    #[arg(long, value_name = "PROFILE", default_value_t = Profile::release())]
    profile: Profile,

    /// The directory for languages.json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write the figures into docs/plugins.md and docs/languages.json; needs every language, and a release
    #[arg(long)]
    publish: bool,

    /// Measure nothing: write the table of docs/plugins.md again from docs/languages.json
    #[arg(long, conflicts_with = "publish")]
    publish_only: bool,

    /// Print the programs to build, and do nothing else
    #[arg(long, hide = true)]
    needs: bool,
}

/// Measures, prints the table, and writes the files asked for.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.publish_only {
        return match args.needs {
            true => Ok(()),
            false => page::publish(&Figures::read(&page::published())?),
        };
    }
    let languages = match args.only.as_slice() {
        [] => Language::ALL.to_vec(),
        only => only.to_vec(),
    };
    ensure!(
        !args.publish || (args.only.is_empty() && args.profile == Profile::release()),
        "what is published is a release, and every language: leave out --only and --profile"
    );
    if args.needs {
        println!("{}", args.profile.need("pace", "--bin pace"));
        return Ok(());
    }
    let workshop = Workshop::open(args.profile.program("pace").map_err(Error::msg)?)?;
    let mut measured = BTreeMap::new();
    for language in languages {
        eprintln!("{}", language.name());
        let of_language = workshop.measure(language, args.rounds);
        measured.insert(language, of_language.with_context(|| language.name())?);
    }
    let figures = Figures {
        machine: Machine::this()?.in_short(),
        rounds: args.rounds,
        languages: measured,
    };
    println!("{}", page::table(&figures));
    if let Some(directory) = &args.out {
        let file = directory.join("languages.json");
        let write = || fs::create_dir_all(directory).and_then(|()| fs::write(&file, figures.json()));
        write().with_context(|| format!("cannot write {}", file.display()))?;
    }
    match args.publish {
        true => page::publish(&figures),
        false => Ok(()),
    }
}
