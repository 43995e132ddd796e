//! Builds plugins in JavaScript: componentize-js puts the source into an engine.

use std::path::Path;

use super::tool::{Tool, Version, run};
use super::{BuildError, made};

const NODE: Tool = Tool {
    name: "node",
    program: "node",
    probe: &["--version"],
    at_least: Some(Version(20, 0)),
    language: "JavaScript",
    remedy: "Install Node 20 or later: https://nodejs.org, or `apt-get install nodejs npm` where that is recent enough.",
};

const NPM: Tool = Tool {
    name: "npm",
    program: "npm",
    probe: &["--version"],
    at_least: None,
    language: "JavaScript",
    remedy: "It comes with Node; Debian has a package of its own: `apt-get install npm`.",
};

pub(super) fn build(project: &Path) -> Result<Vec<u8>, BuildError> {
    let mut node = NODE.command(project)?;
    if !project
        .join("node_modules/@bytecodealliance/componentize-js")
        .is_dir()
    {
        let mut npm = NPM.command(project)?;
        eprintln!("Installing what package.json names into node_modules/.");
        run(npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]))?;
    }
    node.arg("build.mjs");
    made(project, "build.mjs", || run(&mut node))
}
