//! The compiler's messages about wrong plugins.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

const PLUGIN: &str = "
use pace_plugin::*;
struct Mine;
impl Plugin for Mine {
    type Config = NoConfig;
    fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
}
impl RequestFilter for Mine {
    fn request_filter(&mut self, _: &mut Request) -> Verdict { Verdict::Next }
}
pace_plugin::export!(Mine: RequestFilter);
";

/// The SDK's libraries as compiled for this test. Builds with other flags may have left others beside them,
/// which this compiler cannot read or which are older.
fn libraries() -> Vec<PathBuf> {
    let test = env::current_exe().expect("the test has a path");
    let files = fs::read_dir(test.parent().expect("it is in a directory")).expect("it can be listed");
    let mut libraries: Vec<(SystemTime, PathBuf)> = files
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libpace_plugin-") && name.ends_with(".rlib")
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    libraries.sort();
    libraries.into_iter().rev().map(|(_, path)| path).collect()
}

/// The compiler's messages about this source, without colours; empty if there are none.
fn compile(source: &str, library: &Path) -> String {
    let directory = library.parent().expect("it is in a directory");
    let out = tempfile::tempdir().expect("a temporary directory can be made");
    let file = out.path().join("mine.rs");
    fs::write(&file, source).expect("it can be written");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args([
            "--edition=2024",
            "--crate-type=lib",
            "--emit=metadata",
            "--out-dir",
        ])
        .arg(out.path())
        .arg(format!("--extern=pace_plugin={}", library.display()))
        .arg(format!("-Ldependency={}", directory.display()))
        .arg(file)
        .output()
        .expect("the compiler that made this test is there");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The expansion of `export!` is held to the author's lints: nothing has to be allowed for it.
#[test]
fn export_compiles_where_unsafe_code_is_forbidden() {
    let strict =
        "#![forbid(unsafe_code)]\n#![deny(warnings, missing_docs, unused, unreachable_pub)]\n//! Mine.\n";
    assert_eq!(errors(&[strict, PLUGIN].concat()), "");
    let errors = errors(&[strict, PLUGIN, "fn mine() { unsafe {} }"].concat());
    assert!(errors.contains("usage of an `unsafe` block"), "{errors}");
}

fn errors(source: &str) -> String {
    let libraries = libraries();
    let good = libraries
        .iter()
        .find(|library| compile(PLUGIN, library).is_empty());
    compile(source, good.expect("a plugin that is right compiles"))
}

/// Checks that the mistake is named in this sentence, and not buried by others.
fn says(source: &str, sentences: &[&str]) {
    let errors = errors(source);
    for sentence in sentences {
        assert!(errors.contains(sentence), "{sentence:?} in:\n{errors}");
    }
    let count = errors.lines().filter(|line| line.starts_with("error")).count();
    // The last error is the sum: `error: aborting due to ...`.
    assert!(count <= 3, "{count} errors:\n{errors}");
}

#[test]
fn named_hook_without_its_trait_is_reported() {
    says(
        &PLUGIN.replace(
            "export!(Mine: RequestFilter)",
            "export!(Mine: RequestFilter, ResponseFilter)",
        ),
        &[
            "`Mine` does not have the hook `ResponseFilter`",
            "write `impl ResponseFilter for Mine` with `fn response_filter`, or leave the name out",
        ],
    );
}

#[test]
fn unknown_hook_is_reported() {
    says(
        &PLUGIN.replace("Mine: RequestFilter)", "Mine: RequestFilte)"),
        &[
            "`RequestFilte` is no hook; the hooks are RequestFilter, RequestBodyFilter, RequestStreamFilter, AttemptFilter, SelectUpstream, ResponseFilter, ResponseBodyFilter, ResponseStreamFilter, Finished",
        ],
    );
}

#[test]
fn hook_named_twice_is_reported() {
    says(
        &PLUGIN.replace("Mine: RequestFilter)", "Mine: RequestFilter, RequestFilter)"),
        &["the name `RequestFilter` is defined multiple times"],
    );
}

#[test]
fn hook_without_its_function_is_reported() {
    let source = PLUGIN.replace(
        "fn request_filter(&mut self, _: &mut Request) -> Verdict { Verdict::Next }",
        "",
    );
    says(
        &source,
        &[
            "not all trait items implemented, missing: `request_filter`",
            "fn request_filter(&mut self, _: &mut pace_plugin::Request) -> Verdict",
        ],
    );
}

#[test]
fn export_without_a_hook_is_reported() {
    for list in ["export!(Mine)", "export!(Mine:)"] {
        says(
            &PLUGIN.replace("export!(Mine: RequestFilter)", list),
            &[
                "name at least one hook: RequestFilter, RequestBodyFilter, RequestStreamFilter, AttemptFilter, SelectUpstream, ResponseFilter, ResponseBodyFilter, ResponseStreamFilter, Finished",
            ],
        );
    }
}

#[test]
fn type_that_is_no_plugin_is_reported() {
    let start = PLUGIN.find("impl Plugin").expect("it is there");
    let end = PLUGIN.find("impl RequestFilter").expect("it is there");
    says(
        &[&PLUGIN[..start], &PLUGIN[end..]].concat(),
        &["`Mine` is no plugin yet: it does not say how it is configured"],
    );
}

#[test]
fn plugin_without_configure_is_reported() {
    says(
        &PLUGIN.replace(
            "fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }",
            "",
        ),
        &[
            "not all trait items implemented, missing: `configure`",
            "fn configure(_: <Self as pace_plugin::Plugin>::Config) -> Result<Self, String>",
        ],
    );
}

#[test]
fn hook_of_the_wrong_type_is_reported() {
    says(
        &PLUGIN.replace("-> Verdict { Verdict::Next }", "-> bool { true }"),
        &["expected `Verdict`, found `bool`"],
    );
    says(
        &PLUGIN.replace(
            "(&mut self, _: &mut Request) ->",
            "(&mut self, _: &mut Response) ->",
        ),
        &["expected `pace_plugin::Request`, found `pace_plugin::Response`"],
    );
    says(
        &PLUGIN.replace("(&mut self, _: &mut Request)", "(&self, _: &mut Request)"),
        &[
            "types differ in mutability",
            "change the self-receiver type to match the trait",
        ],
    );
    says(
        &PLUGIN.replace("Verdict::Next }", "Reply::new(403) }"),
        &[
            "expected `Verdict`, found `Reply`",
            "pace_plugin::Verdict::Respond(Reply::new(403))",
        ],
    );
}

#[test]
fn config_without_deserialize_is_reported() {
    let source = PLUGIN
        .replace("NoConfig", "Table")
        .replace("struct Mine;", "struct Mine; struct Table;");
    says(&source, &["`Table: serde::Deserialize<'de>` is not satisfied"]);
}

/// An edit needs the hook in which it works: elsewhere the request is not `mut`.
#[test]
fn edit_in_a_read_only_hook_is_reported() {
    let source = PLUGIN.replace("export!(Mine: RequestFilter)", "export!(Mine: ResponseFilter)")
        + "impl ResponseFilter for Mine {
            fn response_filter(&mut self, request: &Request, _: &mut Response) -> Verdict {
                let _ = request.set_header(\"a\", \"b\");
                Verdict::Next
            }
        }";
    says(&source, &["cannot borrow `*request` as mutable"]);
}
