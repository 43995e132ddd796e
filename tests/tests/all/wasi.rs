//! WASI with nothing behind it: what a plugin finds there.

use pace_tests::{HttpBackend, Pace, Setup, fixture};

use crate::sections::{SERVER, with_plugins};

fn config(backend: &HttpBackend) -> String {
    with_plugins(SERVER, &[("runtime", &fixture("wasi-user"))], &[backend])
}

#[test]
fn wasi_has_no_environment_no_file_and_no_network() {
    let backend = HttpBackend::named("one");
    // The process's environment is not the plugin's.
    let pace = Setup::new()
        .env("SECRET", "hunter2")
        .config(&config(&backend))
        .start();
    let found = |path: &str| pace.get(path).text().to_owned();
    assert_eq!(found("/environment"), "0 variables, 0 arguments, in None");
    assert_eq!(found("/files"), "0 directories");
    assert_eq!(
        found("/network"),
        "Some(\"access-denied\"), Some(\"access-denied\")"
    );
    assert_eq!(found("/stdin"), "Err(StreamError::Closed)");
    assert_eq!(found("/"), "one");
}

#[test]
fn wasi_has_clocks_and_random_numbers() {
    let pace = Pace::with_config(&config(&HttpBackend::down()));
    let times = pace.get("/time").text().to_owned();
    let times: Vec<u64> = times.split(' ').filter_map(|time| time.parse().ok()).collect();
    assert!(
        matches!(times[..], [wall, monotonic] if wall > 1_700_000_000 && monotonic > 0),
        "{times:?}"
    );
    let random = || pace.get("/random").text().to_owned();
    let numbers = [random(), random()];
    assert!(numbers.iter().all(|number| number.len() == 24), "{numbers:?}");
    assert_ne!(numbers[0], numbers[1]);
}

/// A runtime is told what the contract tells: otherwise a case would not be the same in every run.
#[test]
fn wasi_has_the_clock_and_the_seed_of_a_case() {
    let wasm = fixture("wasi-user");
    let case = |name: &str| {
        format!(
            "[[case]]\nname = {name:?}\nclock = 2026-03-04T05:06:07Z\n\
             [[case.step]]\nrequest.path = \"/time\"\nexpect.response.body = {{ matches = \"^1772600767 \" }}\n\
             [[case.step]]\nadvance_ms = 3000\nrequest.path = \"/time\"\nexpect.response.body = {{ matches = \"^1772600770 \" }}\n\
             [[case.step]]\nrequest.path = \"/random\"\nexpect.response.body = \"c15c0289ec2d0a9167ec8e65\"\n"
        )
    };
    // Each case begins with the same seed.
    let cases = format!("wasm = {wasm:?}\n{}{}", case("one"), case("another"));
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    std::fs::write(directory.path().join("cases.toml"), cases).expect("the place is ours");
    let exit = Setup::new()
        .within(directory.path())
        .args(["plugin", "test", "cases.toml"])
        .run();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
}

#[test]
fn output_is_in_the_plugins_log() {
    let pace = Pace::with_config(&config(&HttpBackend::down()));
    assert_eq!(pace.get("/stdout").text(), "written");
    pace.wait_for_log(&["INFO", "pace::plugin::log", "runtime: line 0 of stdout"]);
    pace.wait_for_log(&["runtime: unended line 1 of stdout"]);
    assert_eq!(pace.get("/stderr").text(), "written");
    // A plugin that could drive the operator's terminal would not be contained.
    pace.wait_for_log(&["WARN", "pace::plugin::log", "runtime: what\\u{1b} is wrong"]);
}

/// A function that does not exist ends the call, and the log names it.
#[test]
fn missing_wasi_function_is_named() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&config(&backend));
    for (path, called) in [
        (
            "/sleep",
            "it called wasi:clocks/monotonic-clock@0.2.3#subscribe-duration: plugins have no files",
        ),
        (
            "/exit",
            "it called wasi:cli/exit@0.2.3#exit: plugins have no files",
        ),
        (
            "/much-random",
            "it asked for 1099511627776 random bytes at once, 65536 are allowed",
        ),
    ] {
        assert_eq!(pace.get(path).status, 503, "{path}");
        pace.wait_for_entry(&["plugin runtime", "trap", called]);
        assert_eq!(pace.get("/").text(), "one", "the next one is served");
    }
}
