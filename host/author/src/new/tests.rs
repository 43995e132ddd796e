use super::*;

/// Every combination of languages and hooks.
fn projects() -> Vec<Vec<(PathBuf, String)>> {
    let languages = [Language::Rust, Language::Js, Language::Python, Language::C];
    let choices: Vec<Hooks> = (1..1_u32 << Hook::COUNT)
        .map(|bits| {
            let chosen = |hook: &Hook| bits & (1 << *hook as u32) != 0;
            Hook::ALL.into_iter().filter(chosen).collect()
        })
        .collect();
    languages
        .into_iter()
        .flat_map(|language| {
            choices
                .iter()
                .map(move |hooks| project("my-plugin", language, *hooks))
        })
        .collect()
}

#[test]
fn project_has_nothing_of_the_template_syntax() {
    for file in projects().into_iter().flatten() {
        assert!(!file.1.contains("@@"), "{}", file.0.display());
        for name in ["NAME", "CONTRACT", "VERSION", "HOOK_TRAITS", "WORLDS"] {
            assert!(
                !file.1.contains(&format!("@{name}@")),
                "{name} in {}",
                file.0.display()
            );
        }
    }
}

#[test]
fn project_has_each_file_once() {
    for project in projects() {
        let mut paths: Vec<_> = project.iter().map(|(path, _)| path).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), project.len());
        for needed in ["README.md", "tests/my-plugin.toml", ".gitignore"] {
            assert!(paths.iter().any(|path| *path == Path::new(needed)), "{needed}");
        }
    }
}

/// Passing cases would say nothing about a Pace with lower limits than theirs.
#[test]
fn readme_has_the_limits_of_the_cases() {
    for language in [Language::Js, Language::Python] {
        for hook in [Hook::RequestFilter, Hook::ResponseFilter] {
            let files = project("my-plugin", language, [hook].into());
            let text = |path: &str| {
                let found = files.iter().find(|file| file.0 == Path::new(path));
                &*found.expect("each project has it").1
            };
            let readme = text("README.md");
            let (_, configuration) = readme.split_once("```text\n").expect("it has a configuration");
            let (configuration, _) = configuration.split_once("```").expect("it ends");
            let configuration: toml::Table = configuration.parse().expect("it is TOML");
            let cases: toml::Table = text("tests/my-plugin.toml").parse().expect("it is TOML");
            assert_eq!(configuration["plugins"][0]["limits"], cases["defaults"]["limits"]);
        }
    }
}

/// The project's copy of the SDK depends on the same crates as the SDK itself.
#[test]
fn copied_sdk_manifest_has_the_dependencies_of_the_sdk() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| -> toml::Table {
        fs::read_to_string(root.join(path))
            .expect("it is there")
            .parse()
            .expect("it is TOML")
    };
    let workspace = &read("Cargo.toml")["workspace"]["dependencies"];
    let sdk = read("plugins/sdk/Cargo.toml");
    let copied: toml::Table = include_str!("templates/rust/sdk-Cargo.toml")
        .parse()
        .expect("it is TOML");
    let wanted = sdk["dependencies"].as_table().expect("it is a table");
    let names: Vec<&String> = wanted.keys().collect();
    assert_eq!(
        copied["dependencies"]
            .as_table()
            .expect("it is a table")
            .keys()
            .collect::<Vec<_>>(),
        names
    );
    for name in names {
        assert_eq!(copied["dependencies"][name], workspace[name], "{name}");
    }
}

#[test]
fn check_accepts_only_names_valid_in_all_languages() {
    for good in ["a", "my-plugin", "x2"] {
        assert!(check(good).is_ok(), "{good}");
    }
    for bad in ["", "2x", "-a", "a-", "My", "a_b", "a b", "../a", "a/b", "é"] {
        assert!(check(bad).is_err(), "{bad}");
    }
}
