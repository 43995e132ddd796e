//! JavaScript: componentize-js, which puts the source into an engine.

use std::path::Path;

use super::tool::{Tool, run};
use super::{BuildError, made};

const NODE: Tool = Tool {
    program: "node",
    version: "--version",
    language: "JavaScript",
    remedy: "Install Node 20 or later: https://nodejs.org, or `apt-get install nodejs npm` where that is recent enough.",
};

const NPM: Tool = Tool {
    program: "npm",
    version: "--version",
    language: "JavaScript",
    remedy: "It comes with Node; Debian has a package of its own: `apt-get install npm`.",
};

pub(super) fn build(project: &Path) -> Result<Vec<u8>, BuildError> {
    let mut node = NODE.command(project)?;
    if !project
        .join("node_modules/@bytecodealliance/componentize-js")
        .is_dir()
    {
        eprintln!("Installing what package.json names into node_modules/.");
        run(NPM
            .command(project)?
            .args(["install", "--no-audit", "--no-fund", "--loglevel=error"]))?;
    }
    run(node.arg("build.mjs"))?;
    made("build.mjs", project.join("plugin.wasm"))
}
