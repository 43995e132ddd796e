//! Writes `Cargo.lock` of a project in Rust: the tested versions of the SDK's dependencies.

/// The lock file without the project's own package. A test compares it with the `Cargo.lock` of this
/// repository.
const TESTED: &str = include_str!("templates/rust/Cargo.lock");

/// The separator of packages.
const BETWEEN: &str = "\n[[package]]\n";

/// The lock file with the project's own package where cargo puts it: the first build changes nothing.
pub(super) fn with_own(name: &str) -> String {
    let own = format!(
        "name = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [\n \"pace-plugin\",\n \"serde\",\n]\n"
    );
    let mut parts: Vec<&str> = TESTED.split(BETWEEN).collect();
    // The first part is not a package. The others are sorted, and begin with their names.
    let packages = parts.iter().skip(1);
    let at = 1 + packages.take_while(|package| **package < own.as_str()).count();
    parts.insert(at, &own);
    parts.join(BETWEEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_own_keeps_packages_sorted_by_name() {
        for name in ["a", "my-plugin", "pace-plugin-2", "zz"] {
            let text = with_own(name);
            let lines = text.lines().filter(|line| line.starts_with("name = "));
            let names: Vec<&str> = lines.collect();
            assert!(names.is_sorted(), "{names:?}");
            assert!(names.contains(&&*format!("name = \"{name}\"")), "{names:?}");
            text.parse::<toml::Table>().expect("it is TOML");
        }
    }
}
