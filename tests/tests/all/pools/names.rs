//! Names whose addresses change while Pace serves.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pace_tests::{HttpBackend, Setup, program, wait_until};

use crate::sections::{EVERYTHING, SERVER};

/// Runs what follows in a mount namespace in which the first argument is `/etc/hosts`.
const WITH_HOSTS: [&str; 5] = [
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    "mount --bind \"$0\" /etc/hosts && exec \"$@\"",
];

fn may_unshare(hosts: &Path) -> bool {
    let tried = Command::new("unshare")
        .args(WITH_HOSTS)
        .arg(hosts)
        .arg("true")
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

#[test]
fn addresses_of_a_name_follow_the_resolver_and_the_last_good_answer_is_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let hosts = directory.path().join("hosts");
    // The file is bound to the other, so it is written and never replaced.
    let write = |text: &str| fs::write(&hosts, text).expect("it can be written");
    write("127.0.0.1 localhost\n127.0.0.1 app.test\n");
    if !may_unshare(&hosts) {
        eprintln!("SKIPPED: this user may not mount another /etc/hosts");
        return;
    }
    let backend = HttpBackend::named("one");
    let port = backend.address().port();
    let config = format!(
        "{SERVER}\n[[pools]]\nname = 'web'\nbackends = ['app.test:{port}']\nresolve_every_seconds = 1\n\n{EVERYTHING}"
    );
    let setup = Setup::of(Path::new("unshare"))
        .args(WITH_HOSTS)
        .args([hosts.as_os_str(), program().as_os_str()])
        .config(&config);
    let pace = setup.start();
    assert_eq!(pace.get("/").text(), "one");

    write("127.0.0.1 app.test\n127.0.0.2 app.test\n");
    let addresses = || {
        let pools = pace.pools();
        let backends = pools[0]["backends"].as_array().expect("it is a list").clone();
        let address =
            |backend: &serde_json::Value| backend["address"].as_str().unwrap_or_default().to_owned();
        backends.iter().map(address).collect::<Vec<_>>()
    };
    let (first, second) = (format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"));
    wait_until("both addresses", || {
        addresses() == [first.clone(), second.clone()]
    });
    pace.wait_for_log(&["the backends are now", &first, &second]);

    write("127.0.0.1 localhost\n");
    pace.wait_for_log(&[
        "WARN",
        "cannot find the address of app.test",
        "found before are kept",
    ]);
    assert_eq!(addresses(), [first.clone(), second.clone()]);
    assert_eq!(pace.get("/").text(), "one");

    write("127.0.0.1 app.test\n");
    wait_until("one address", || addresses() == [first.clone()]);
    pace.wait_for_log(&["INFO", "the address of app.test", "has been found"]);
    let told = pace.log();
    let complaints = told.matches("cannot find the address").count();
    assert_eq!(complaints, 1, "it is said once:\n{told}");
    let labels = [("backend", &*second)];
    wait_until("its metrics to be gone", || {
        !pace.metrics().has("pace_upstream_healthy", &labels)
    });
}
