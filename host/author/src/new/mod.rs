//! `pace plugin new`: creates a project that builds at once.
//!
//! The SDK is not in a registry, so a project in Rust gets a copy of its sources, and every project a copy of
//! the contract: both fit the program that wrote them, and neither needs access to this repository.

mod template;
mod types;
mod versions;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::language::Language;
use super::print;
use crate::cli::{CommandError, NewArgs};
use pace_hook::CONTRACT;
use pace_hook::{Hook, Hooks};
use pace_sandbox::CONTRACT_FILES;

// The SDK for plugins in Rust, as `FILES`.
include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
use template::Template;

/// Why no project was created.
#[derive(Debug, thiserror::Error)]
enum NewError {
    #[error(
        "`{0}` is no name for a plugin: it begins with a letter, and has letters, digits and `-` (a-z, 0-9)"
    )]
    Name(String),
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

pub(super) fn run(args: &NewArgs) -> Result<(), CommandError> {
    let name = check(&args.name)?;
    let directory = PathBuf::from(name);
    if directory.exists() {
        return Err(NewError::Exists(directory).into());
    }
    let hooks: Hooks = match args.hooks.as_slice() {
        [] => [Hook::RequestFilter].into(),
        some => some.iter().copied().collect(),
    };
    for (path, text) in project(name, args.lang, hooks) {
        write(&directory.join(path), &text)?;
    }
    print(&format!(
        "{name}/ is a plugin in {} with {}. What to do next is in its README.md:\n\n    \
         cd {name} && pace plugin build && pace plugin test\n",
        args.lang.name(),
        of_each(hooks, Hook::name).join(" and "),
    ))?;
    Ok(())
}

/// Checks a name: all languages and file systems must accept it.
fn check(name: &str) -> Result<&str, NewError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    match begins && name.len() <= 48 && name.bytes().all(allowed) && !name.ends_with('-') {
        true => Ok(name),
        false => Err(NewError::Name(name.to_owned())),
    }
}

/// The result of `of` for each hook, in the alphabetical order of the hooks' names.
fn of_each(hooks: Hooks, of: fn(Hook) -> &'static str) -> Vec<&'static str> {
    let mut hooks: Vec<Hook> = hooks.iter().collect();
    hooks.sort_by_key(|hook| hook.name());
    hooks.into_iter().map(of).collect()
}

/// Every file of a project.
fn project(name: &str, language: Language, hooks: Hooks) -> Vec<(PathBuf, String)> {
    let mut words: BTreeSet<&str> = hooks.iter().map(Hook::name).collect();
    words.insert(match language {
        Language::Rust => "rust",
        Language::Js => "js",
        Language::Python => "python",
        Language::C => "c",
    });
    if matches!(language, Language::Js | Language::Python) {
        words.insert("slow");
    }
    if hooks.contains(Hook::ResponseFilter) && !hooks.contains(Hook::RequestFilter) {
        words.insert("response-filter-only");
    }
    if hooks.contains(Hook::Finished) && !hooks.contains(Hook::RequestFilter) {
        words.insert("finished-only");
    }
    let (_, version) = CONTRACT.split_once('@').unwrap_or_default();
    let include = |world: &str| format!("    include pace:plugin/{world}@{version};");
    let worlds = of_each(hooks, Hook::world).into_iter().map(include);
    let template = Template {
        words,
        names: vec![
            ("NAME", name.to_owned()),
            ("CONTRACT", CONTRACT.to_owned()),
            ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
            ("HOOK_TRAITS", of_each(hooks, Hook::sdk_trait).join(", ")),
            ("WORLDS", worlds.collect::<Vec<_>>().join("\n")),
        ],
    };
    let mut files = vec![
        (
            PathBuf::from("README.md"),
            template.fill(include_str!("templates/README.md")),
        ),
        (
            format!("tests/{name}.toml").into(),
            template.fill(include_str!("templates/tests.toml")),
        ),
    ];
    let own: &[(&str, &str)] = match language {
        Language::Rust => &[
            ("Cargo.toml", include_str!("templates/rust/Cargo.toml")),
            ("src/lib.rs", include_str!("templates/rust/lib.rs")),
            (".gitignore", include_str!("templates/rust/gitignore")),
            (
                "vendor/pace-plugin/Cargo.toml",
                include_str!("templates/rust/sdk-Cargo.toml"),
            ),
        ],
        Language::Js => &[
            ("package.json", include_str!("templates/js/package.json")),
            ("jsconfig.json", include_str!("templates/js/jsconfig.json")),
            ("build.mjs", include_str!("templates/js/build.mjs")),
            ("engine.js", include_str!("templates/js/engine.js")),
            ("plugin.js", include_str!("templates/js/plugin.js")),
            (".gitignore", include_str!("templates/js/gitignore")),
        ],
        Language::Python => &[
            (
                "requirements.txt",
                include_str!("templates/python/requirements.txt"),
            ),
            ("plugin.py", include_str!("templates/python/plugin.py")),
            (".gitignore", include_str!("templates/python/gitignore")),
        ],
        Language::C => &[
            ("plugin.c", include_str!("templates/c/plugin.c")),
            (".gitignore", include_str!("templates/c/gitignore")),
        ],
    };
    if language == Language::Rust {
        files.push(("Cargo.lock".into(), template.fill(&versions::with_own(name))));
    }
    if language == Language::Js {
        files.push(("types/pace.d.ts".into(), types::DECLARATIONS.clone()));
    }
    files.extend(
        own.iter()
            .map(|(path, text)| (PathBuf::from(path), template.fill(text))),
    );
    // The SDK reads the contract two directories above itself. Other languages start from a world of their
    // own.
    let contract = match language {
        Language::Rust => Path::new("wit"),
        _ => Path::new("wit/deps/pace-plugin"),
    };
    files.extend(
        CONTRACT_FILES
            .iter()
            .map(|(path, text)| (contract.join(path), (*text).to_owned())),
    );
    if language == Language::Rust {
        let sdk = Path::new("vendor/pace-plugin/src");
        files.extend(
            FILES
                .iter()
                .map(|(path, text)| (sdk.join(path), (*text).to_owned())),
        );
    } else {
        files.push((
            "wit/world.wit".into(),
            template.fill(include_str!("templates/world.wit")),
        ));
    }
    files
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, text)
    };
    write().map_err(|source| NewError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
