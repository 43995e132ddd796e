//! Where cargo puts the programs that it builds.

use std::convert::Infallible;
use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A cargo profile, such as `dev` or `release`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile(String);

impl Profile {
    /// The profile that users run.
    pub fn release() -> Profile {
        Profile("release".to_owned())
    }

    /// The profile that compiles quickly, with every check.
    pub fn dev() -> Profile {
        Profile("dev".to_owned())
    }

    /// The profile's name, as cargo knows it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The arguments with which `cargo build` builds a program in this profile: `target` is `--bin NAME` or
    /// `--example NAME`. `cargo xtask` asks the tools that it calls for such lines.
    pub fn need(&self, package: &str, target: &str) -> String {
        match self.name() {
            // As the tests are built: a package alone would have other features, and wasmtime be compiled once more.
            "dev" => "--profile dev --workspace --bins --tests --examples".to_owned(),
            _ => format!("--profile {self} --package {package} {target}"),
        }
    }

    /// The path of a program of the workspace built with this profile, in the target directory of the running
    /// program. `name` may begin with `examples/`.
    ///
    /// # Errors
    ///
    /// The program has not been built.
    pub fn program(&self, name: &str) -> Result<PathBuf, String> {
        let this = env::current_exe().map_err(|error| error.to_string())?;
        let target = this.ancestors().nth(2).ok_or("this program is in no directory")?;
        let directory = match self.name() {
            "dev" | "test" => "debug",
            other => other,
        };
        let path = target.join(directory).join(name);
        match path.is_file() {
            true => Ok(path),
            false => Err(format!("{} has not been built", path.display())),
        }
    }
}

impl FromStr for Profile {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Profile, Infallible> {
        Ok(Profile(name.to_owned()))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
