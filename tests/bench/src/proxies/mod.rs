//! `cargo xtask bench`: measures the cost of a request, beside other proxies. Every published figure comes
//! from here.
//!
//! ```text
//! scenes ──▶ subject ──▶ a proxy on one core ◀── generator, backends on another
//!    │                        │ CPU time, memory
//!    ▼                        ▼
//!  result (bench.json) ──▶ table (bench.md), plot (ladder.svg) ──▶ publish (docs/performance.md, README.md)
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `scenes` | the questions, and how they are measured |
//! | `subject` | the proxies: their configurations, their processes |
//! | `generator` | the load |
//! | `backend` | the backends behind the proxies |
//! | `http` | messages |
//! | `cores` | the cores that all of it runs on |
//! | `result` | the figures, and ratios that follow from them |
//! | `table`, `plot`, `publish` | tables, plots and pages made from them |

mod backend;
mod cores;
mod generator;
mod http;
mod plot;
mod publish;
mod result;
mod scenes;
mod subject;
mod table;

use crate::machine::{self, Machine};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use cores::Cores;
use pace_kit::Profile;
use result::{FILE, Run};
use scenes::{Scene, Stage};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use subject::Programs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scenes to measure; `all` for every one
    #[arg(long, value_name = "SCENE", value_delimiter = ',', default_value = "ladder", value_parser = SceneName::parse)]
    scene: Vec<SceneName>,

    /// Measure only these proxies, besides the one that the others are compared with
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    only: Vec<String>,

    /// The number of measurements of each proxy
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// The duration of one measurement, in seconds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// The number of connections of the load
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,

    /// The profile of the proxies: only figures of release are about speed
    #[arg(long, value_name = "PROFILE", default_value_t = Profile::release())]
    profile: Profile,

    /// The directory for bench.md, bench.json and ladder.svg; scenes of earlier runs in it are kept
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write the figures into README.md and docs/performance.md; needs --out, and every scene
    #[arg(long, requires = "out")]
    publish: bool,

    /// Measure nothing: write those pages again from the run that is published, or from the one in --out
    #[arg(long, conflicts_with = "publish")]
    publish_only: bool,

    /// Print the programs to build, and do nothing else
    #[arg(long, hide = true)]
    needs: bool,
}

/// The names that `--scene` accepts.
#[derive(Clone, Copy)]
enum SceneName {
    All,
    One(Scene),
}

impl SceneName {
    fn parse(text: &str) -> Result<SceneName, String> {
        let names = || {
            let scenes = Scene::value_variants().iter().map(|scene| scene.name());
            scenes.collect::<Vec<_>>().join(", ")
        };
        match text {
            "all" => Ok(SceneName::All),
            _ => Scene::from_str(text, false)
                .map(SceneName::One)
                .map_err(|_| format!("the scenes are {}, all", names())),
        }
    }
}

/// Measures, prints the tables, and writes the files asked for.
pub(crate) fn run(args: &Args) -> Result<()> {
    let scenes = scenes(args)?;
    let subjects: Vec<_> = scenes.iter().flat_map(|scene| scene.subjects(args)).collect();
    if args.needs {
        for program in Programs::needed(&args.profile, &subjects) {
            println!("{program}");
        }
        return Ok(());
    }
    if args.publish_only {
        let published = publish::published();
        let file = args.out.as_ref().map_or(published, |out| out.join(FILE));
        return publish::publish(&Run::read(&file)?);
    }
    let mut run = match &args.out {
        Some(directory) => Run::continued(directory, Machine::this()?)?,
        None => Run::new(Machine::this()?),
    };
    machine::allow_many_files()?;
    let cores = Cores::choose()?;
    let stage = Stage {
        args,
        programs: &Programs::find(&args.profile, &subjects)?,
        cores: &cores,
    };
    cores.load.pin()?;
    println!("{}.", run.machine);
    for scene in scenes {
        let answer = scene.play(&stage)?;
        println!("\n## {}\n\n{}", scene.name(), table::of(&answer));
        run.scenes.insert(scene.name(), answer);
        // Results so far must not be lost when a later scene fails.
        if let Some(directory) = &args.out {
            write(&run, directory)?;
        }
    }
    if args.publish {
        publish::check(&run)?;
        publish::publish(&run)?;
    }
    Ok(())
}

/// The scenes to measure, if any.
fn scenes(args: &Args) -> Result<BTreeSet<Scene>> {
    for key in &args.only {
        if !subject::all().any(|subject| subject.key == key) {
            let keys: Vec<&str> = subject::all().map(|subject| subject.key).collect();
            bail!("there is no proxy `{key}`: there are {}", keys.join(", "));
        }
    }
    let all = |asked: &SceneName| match asked {
        _ if args.publish_only => Vec::new(),
        SceneName::All => Scene::value_variants().to_vec(),
        SceneName::One(scene) => vec![*scene],
    };
    Ok(args.scene.iter().flat_map(all).collect())
}

fn write(run: &Run, directory: &Path) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    write(FILE, run.json()?)?;
    write("bench.md", table::page(run))?;
    if let Some(result::Scene::Load(ladder)) = run.scenes.get(&Scene::Ladder.name()) {
        write("ladder.svg", plot::svg(ladder))?;
    }
    Ok(())
}
