//! WASI, with nothing behind it: what a plugin finds when it looks around.

use pace_tests::{Origin, Pace, Setup, fixture};

use crate::sections::{SERVER, with_plugins};

fn config(origin: &Origin) -> String {
    with_plugins(SERVER, &[("runtime", &fixture("wasi-user"))], &[origin])
}

#[test]
fn there_is_no_environment_no_file_and_no_network() {
    let origin = Origin::named("one");
    // What the process has is not the plugin's.
    let pace = Setup::new()
        .env("SECRET", "hunter2")
        .config(&config(&origin))
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
fn there_are_clocks_and_random_numbers() {
    let pace = Pace::with_config(&config(&Origin::down()));
    assert_eq!(pace.get("/time").text(), "true");
    assert_eq!(pace.get("/random").text(), "32 bytes, true");
}

#[test]
fn what_is_written_is_in_the_plugins_log() {
    let pace = Pace::with_config(&config(&Origin::down()));
    assert_eq!(pace.get("/stdout").text(), "written");
    pace.wait_for_log(&["INFO", "pace::plugin::log", "runtime: line 0 of stdout"]);
    pace.wait_for_log(&["runtime: unended line 1 of stdout"]);
    assert_eq!(pace.get("/stderr").text(), "written");
    // A plugin that could drive the operator's terminal would not be contained.
    pace.wait_for_log(&["WARN", "pace::plugin::log", "runtime: what\\u{1b} is wrong"]);
}

/// What there is not ends the call, and the log says what it was.
#[test]
fn what_is_not_there_is_named() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&config(&origin));
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
