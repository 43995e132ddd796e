//! Counts the instructions that the default plugins' own code takes for a call: exactly, on every machine.
//!
//! The figures change with the plugins, the SDK and the contract; look at the difference and record it:
//!
//! ```text
//! PACE_BLESS=1 cargo test -p pace-harness --test instructions
//! ```
//!
//! They change with the compiler too. So the file names the compiler it was recorded with; plugins from
//! another only must not take much more. The host's instructions are counted by `cargo xtask instructions`.

#[path = "../benches/default_chain/mod.rs"]
mod default_chain;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use default_chain::{Chain, Subjects};
use pace_config::Isolation;
use pace_sandbox::builtin;
use serde::Deserialize;
use wasmparser::{KnownCustom, Parser, Payload};

const RECORDED: &str = "tests/instructions.toml";

/// Calls that are counted together: one may take a little more or less than the next.
const CALLS: u64 = 100;

/// The most that another compiler's plugins may take, in percent of the record.
const OTHER_COMPILER_PERCENT: u64 = 125;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    compiler: String,
    instructions: BTreeMap<String, u64>,
}

#[test]
fn plugins_take_as_many_instructions_as_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDED);
    let (compiler, counted) = (compiler(), counted());
    if env::var_os("PACE_BLESS").is_some() {
        fs::write(&path, file(&compiler, &counted)).expect("the repository can be written to");
        return;
    }
    let text = fs::read_to_string(&path).expect("the repository has the file");
    let recorded: Recorded = toml::from_str(&text).expect("this test has written it");
    let exact = recorded.compiler == compiler;
    let mut differing = String::new();
    for (name, now) in &counted {
        let Some(before) = recorded.instructions.get(*name) else {
            writeln!(differing, "{name}: {now}, and none recorded").expect("a String takes every write");
            continue;
        };
        let as_recorded = match exact {
            true => now == before,
            false => *now <= before * OTHER_COMPILER_PERCENT / 100,
        };
        if !as_recorded {
            let change = (*now as f64 / *before as f64 - 1.0) * 100.0;
            writeln!(differing, "{name}: {before} -> {now} ({change:+.1} %)")
                .expect("a String takes every write");
        }
    }
    assert!(
        differing.is_empty() && (!exact || counted.len() == recorded.instructions.len()),
        "instructions for {CALLS} calls, in {RECORDED} (by {}) and now (by {compiler}):\n{differing}\
         If that is meant: PACE_BLESS=1 cargo test -p pace-harness --test instructions",
        recorded.compiler,
    );
}

/// The instructions of [`CALLS`] calls each, after as many uncounted ones for one-time work.
fn counted() -> Vec<(&'static str, u64)> {
    let mut chain = Subjects::counting_instructions().chain(Isolation::Worker);
    let counted = Chain::CALLS.map(|(name, call)| {
        let mut calls = || {
            for _ in 0..CALLS {
                call(&mut chain);
            }
            chain.instructions().expect("they are counted")
        };
        let before = calls();
        (name, calls() - before)
    });
    counted.into()
}

/// The compiler of the plugins, which they name themselves.
fn compiler() -> String {
    let component = builtin::component("rate-limiter").expect("it is a default plugin");
    let named = Parser::new(0).parse_all(component).find_map(|payload| {
        let Ok(Payload::CustomSection(section)) = payload else {
            return None;
        };
        let KnownCustom::Producers(fields) = section.as_known() else {
            return None;
        };
        let processed_by = fields
            .into_iter()
            .flatten()
            .find(|field| field.name == "processed-by")?;
        let mut tools = processed_by.values.into_iter().flatten();
        let rustc = tools.find(|tool| tool.name == "rustc")?;
        Some(format!("rustc {}", rustc.version))
    });
    named.unwrap_or_else(|| "unknown".to_owned())
}

fn file(compiler: &str, counted: &[(&str, u64)]) -> String {
    let mut text = format!(
        "# Instructions that the default plugins' own code takes for {CALLS} calls of a hook.\n\
         # Written by: PACE_BLESS=1 cargo test -p pace-harness --test instructions\n\n\
         compiler = {compiler:?}\n\n[instructions]\n"
    );
    for (name, count) in counted {
        writeln!(text, "{name:?} = {count}").expect("a String takes every write");
    }
    text
}
