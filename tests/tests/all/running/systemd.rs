//! Under a real systemd: a manager of its own, in namespaces in which it finds a system that was started with systemd.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use pace_tests::{HttpBackend, Process, program, root};

use crate::sections::plain;

/// The time that the whole story may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What an operator does. Each step prints a line.
const STORY: &str = r#"
set -u
mount -t tmpfs none /run && mkdir -p /run/systemd/system
/lib/systemd/systemd --user --log-target=console --log-level=warning &
ask() { systemctl --user "$@" 2> /dev/null; }
show() { ask show pace.service --property="$1" --value; }
# Whether a condition holds in the end.
soon() { for _ in $(seq 200); do "$@" && return; sleep 0.05; done; echo "waited for: $*"; }
# systemd hears of the end of a reload from Pace and from the command, in either order.
is_serving() { [ "$(show StatusText)" = serving ]; }
is_other() { [ "$(show MainPID)" != "$before" ]; }
answers() { curl --silent --max-time 10 "http://$address/"; }

soon ask is-system-running --quiet
ask start pace.socket && ask start pace.service; echo "start: $? $(show StatusText) $(answers)"
before=$(show MainPID)
ask kill --kill-whom=main --signal=SIGUSR2 pace.service
soon is_other
echo "upgrade: $(show ActiveState) $(show NRestarts) $(answers)"
ask reload pace.service; echo "reload: $? $(soon is_serving; show StatusText)"
echo nonsense >> "$config"
ask reload pace.service; echo "reload of a bad file: $? $(show ActiveState)"
sed -i '$d' "$config"
ask restart pace.service; echo "restart: $? $(answers)"
ask stop pace.socket pace.service; echo "stop: $? $(show Result)"
"#;

#[test]
fn service_and_socket_do_under_systemd_what_they_promise() {
    let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let can_run = Command::new("unshare").args(namespaces).arg("true").output();
    let is_there = fs::exists("/lib/systemd/systemd").unwrap_or(false);
    if !(is_there && can_run.is_ok_and(|output| output.status.success())) {
        println!("SKIPPED: there is no systemd here, or no right to run one in namespaces");
        return;
    }
    let backend = HttpBackend::named("one");
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let config = place.path().join("pace.toml");
    let text = plain(&[&backend]).replacen("127.0.0.1:0", &address, 1);
    fs::write(&config, text).expect("the directory is writable");

    let units = place.path().join("systemd/user");
    fs::create_dir_all(&units).expect("the directory is writable");
    let unit = |name: &str| fs::read_to_string(root().join("config").join(name)).expect("the file is there");
    // A manager of a user can neither change users nor restrict what is not its own.
    let kept = [
        "[",
        "Type=",
        "NotifyAccess=",
        "Exec",
        "WatchdogSec=",
        "KillSignal=",
        "Timeout",
        "Restart",
    ];
    let service: String = unit("pace.service")
        .lines()
        .filter(|line| kept.iter().any(|start| line.starts_with(start)))
        .map(|line| {
            let line = line.replace("/usr/bin/pace", &program().display().to_string());
            line.replace("/etc/pace/pace.toml", &config.display().to_string()) + "\n"
        })
        .collect();
    fs::write(units.join("pace.service"), service).expect("the directory is writable");
    let socket = unit("pace.socket").replace("0.0.0.0:8080", &address);
    fs::write(units.join("pace.socket"), socket).expect("the directory is writable");

    let mut story = Command::new("unshare");
    story
        .args(namespaces)
        .args(["bash", "-c", STORY])
        .env("address", &address)
        .env("config", &config)
        .env("XDG_CONFIG_HOME", place.path())
        .env("XDG_RUNTIME_DIR", place.path());
    let mut story = Process::spawn(&mut story).expect("the program is there");
    let ended = story.wait_within(LIMIT);
    let said = format!("{}\n{}", story.stdout(), story.stderr());
    assert!(ended.is_some(), "{said}");
    assert_eq!(
        story.stdout().lines().collect::<Vec<_>>(),
        [
            "start: 0 serving one",
            "upgrade: active 0 one",
            "reload: 0 serving",
            "reload of a bad file: 1 active",
            "restart: 0 one",
            "stop: 0 success",
        ],
        "{said}"
    );
}
