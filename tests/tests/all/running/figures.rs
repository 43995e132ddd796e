//! What the process says about itself: its limits, its figures, and whether it serves what is in the file.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use pace_tests::{HttpBackend, Pace, Setup, Signal, wait_until};

use crate::sections::plain;

/// The value of a series without labels.
fn value(pace: &Pace, name: &str) -> f64 {
    let response = pace.admin().get("/metrics");
    let found = response
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = found.unwrap_or_else(|| panic!("{name} in {}", response.text()));
    value.parse().expect("it is a number")
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_secs_f64()
}

#[test]
fn limit_of_descriptors_is_raised_to_the_hard_one() {
    let backend = HttpBackend::named("one");
    let pace = Setup::of("sh".as_ref())
        .args(["-c", "ulimit -S -n 64 && exec \"$0\" \"$@\""])
        .args([pace_tests::program()])
        .config(&plain(&[&backend]))
        .start();
    let limits = fs::read_to_string(pace.proc("limits")).expect("the process is there");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .expect("it is limited");
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(fields[3], fields[4], "{line}");
    let limit: f64 = fields[4].parse().expect("it is a number");
    assert_eq!(value(&pace, "process_max_fds"), limit);
}

#[test]
fn figures_are_those_of_the_process() {
    let backend = HttpBackend::named("one");
    let before = now();
    let pace = Setup::new().config(&plain(&[&backend])).start();
    // The system counts in hundredths of a second.
    let started = value(&pace, "process_start_time_seconds");
    assert!(
        (before - 2.0..=now() + 2.0).contains(&started),
        "{started} is not after {before}"
    );
    let fds = value(&pace, "process_open_fds");
    let counted = fs::read_dir(pace.proc("fd"))
        .expect("the process is there")
        .count();
    assert!((fds - counted as f64).abs() <= 4.0, "{fds}, {counted}");
    let threads = fs::read_dir(pace.proc("task"))
        .expect("the process is there")
        .count();
    assert_eq!(value(&pace, "process_threads"), threads as f64);
    assert!(value(&pace, "process_resident_memory_bytes") > 4e6);
    let first = value(&pace, "process_cpu_seconds_total");
    assert!(first > 0.0 && value(&pace, "process_cpu_seconds_total") >= first);
}

#[test]
fn metrics_say_whether_the_file_serves_and_since_when() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new().config(&plain(&[&backend])).start();
    let successful = || value(&pace, "pace_config_last_reload_successful");
    let at = || value(&pace, "pace_config_last_reload_success_timestamp_seconds");
    let started = at();
    assert_eq!(successful(), 1.0);
    assert!((now() - started).abs() < 60.0, "{started}");
    let file = pace.directory().join("pace.toml");
    let good = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, "nonsense").expect("it is writable");
    wait_until("the file to be refused", || successful() == 0.0);
    assert_eq!(at(), started);
    // The configuration that serves is in the file again.
    fs::write(&file, good).expect("it is writable");
    wait_until("the file to be taken", || successful() == 1.0);
    assert!(at() > started);
}

#[test]
fn start_line_has_version_file_and_process() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new().config(&plain(&[&backend])).start();
    let first = pace.log().lines().next().unwrap_or_default().to_owned();
    let file = pace.directory().join("pace.toml");
    for words in [
        format!("Pace {} with {}", env!("CARGO_PKG_VERSION"), file.display()),
        format!("process {}", pace.process().pid().as_raw_nonzero()),
    ] {
        assert!(first.contains(&words), "{words}: {first}");
    }
}

#[test]
fn log_that_cannot_be_chosen_is_an_error_and_debugging_is_that_of_pace() {
    let refused = Setup::new().env("RUST_LOG", "inf").args(["check"]).run();
    let expected = "RUST_LOG is \"inf\": \"inf\" is neither a level";
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains(expected), "{refused:#?}");
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "debug")
        .config(&plain(&[&backend]))
        .start();
    pace.get("/");
    let exit = pace.stop();
    let is_ours = |line: &&str| !line.starts_with('[') || line.contains(" pace");
    let foreign: Vec<&str> = exit.stderr.lines().filter(|line| !is_ours(line)).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
}

#[test]
fn reload_says_what_it_has_changed() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new().config(&plain(&[&backend])).start();
    let file = pace.directory().join("pace.toml");
    let text = fs::read_to_string(&file).expect("it is there");
    let added = format!(
        "{}[[routes]]\nname = \"api\"\nmatch = {{ path_prefix = \"/api\" }}\npool = \"web\"\n",
        text.replace("name = \"web\"\n", "name = \"web\"\nmax_retries = 3\n")
    );
    fs::write(&file, added).expect("it is writable");
    pace.wait_for_log(&["the configuration has been taken (pool web changed; route api added)"]);
    fs::write(&file, text).expect("it is writable");
    pace.wait_for_log(&["the configuration has been taken (pool web changed; route api removed)"]);
}

#[test]
fn default_limit_is_told_unless_the_configuration_says_something_about_it() {
    let backend = HttpBackend::named("one");
    let told = |rest: &str| {
        let config = format!(
            "[server]\nlisten = '127.0.0.1:0'\n[upstreams]\nbackends = ['{}']\n{rest}",
            backend.label()
        );
        Pace::with_config(&config)
            .stop()
            .stderr
            .contains("there is no [rate_limit]: each client has 100 requests")
    };
    assert!(told(""));
    assert!(!told("[rate_limit]\nenabled = false\n"));
}

/// As in a container: no HOME, no PATH, nothing that can be written to.
#[test]
fn process_needs_no_environment_and_no_directory_of_its_own() {
    let backend = HttpBackend::named("one");
    let pace = Setup::of("env".as_ref())
        .args(["-i"])
        .args([pace_tests::program()])
        .config(&plain(&[&backend]))
        .start();
    assert_eq!(pace.get("/").text(), "one");
    pace.signal(Signal::TERM);
    assert_eq!(pace.wait().code, Some(0));
}
