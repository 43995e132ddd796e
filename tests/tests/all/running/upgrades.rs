//! SIGUSR2: the program that is installed now takes the place of the one that runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use pace_tests::{Answer, Client, Gate, HttpBackend, Setup, Signal, program, wait_until};

use super::load::{Backends, Load, switch};
use crate::sections::plain;

const LONG_GRACE: &str = "grace_period_seconds = 3600";

#[test]
fn upgrade_under_load_refuses_no_connection_and_fails_no_request() {
    let backends = Backends::new();
    let pace = Setup::new()
        .config(&backends.config("127.0.0.1:0", LONG_GRACE))
        .start();
    let admin = pace.admin_address();
    let last = Load::on(pace.address(), |load| {
        load.wait_for_more();
        let second = pace.upgrade();
        load.wait_for_more();
        let third = second.upgrade(&pace);
        load.wait_for_more();
        // WebSockets are still where they were before both upgrades; the process between has none, and is done.
        second.wait();
        assert!(
            !pace.log().contains("the process before has ended: 1"),
            "{}",
            pace.log()
        );
        load.wait_for_more();
        third
    });
    // They have been closed by now.
    assert_eq!(pace.wait().code, Some(0));
    assert_eq!(Client::new(admin).get("/readyz").text(), "ready\n");
    last.signal(Signal::TERM);
    last.wait();
}

#[test]
fn upgrade_keeps_the_ready_file_the_admin_listener_and_port_0() {
    let backend = HttpBackend::named("one");
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let path = place.path().join("ready");
    let pace = Setup::new().config(&plain(&[&backend])).ready_file(&path).start();
    let before = fs::read_to_string(&path).expect("Pace serves");
    let mut admin = pace.admin();
    assert_eq!(admin.get("/health").status, 200);
    let (address, admin_address) = (pace.address(), pace.admin_address());
    let successor = pace.upgrade();
    let exit = pace.wait();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    wait_until("the ready file", || {
        fs::read_to_string(&path).is_ok_and(|after| after == before)
    });
    assert_eq!(Client::new(address).get("/").text(), "one");
    assert_eq!(Client::new(admin_address).get("/readyz").text(), "ready\n");
    successor.signal(Signal::TERM);
    successor.wait();
    assert!(!path.exists());
}

/// The path is followed anew: a package replaces the file, or a link leads to another version.
#[test]
fn upgrade_starts_the_program_that_is_installed_now() {
    let backend = HttpBackend::named("one");
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let installed = place.path().join("pace");
    symlink(program(), &installed).expect("the directory is writable");
    let pace = Setup::of(&installed).config(&plain(&[&backend])).start();

    let next = place.path().join("next");
    // A file that has just been written cannot be run while a child of another test still has it open.
    let linked = fs::hard_link(program(), &next);
    linked
        .or_else(|_| fs::copy(program(), &next).map(drop))
        .expect("there is room for it");
    let beside = place.path().join("beside");
    symlink(&next, &beside).expect("the directory is writable");
    fs::rename(&beside, &installed).expect("both are in one directory");
    let successor = pace.upgrade();
    let running = fs::read_link(format!("/proc/{}/exe", successor.pid().as_raw_nonzero()));
    assert_eq!(running.ok(), Some(next));
    assert_eq!(pace.get("/").text(), "one");
}

#[test]
fn new_process_that_cannot_serve_leaves_the_old_one_serving() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new().config(&plain(&[&backend])).start();
    let config = pace.directory().join("pace.toml");
    let good = fs::read_to_string(&config).expect("it is there");
    fs::write(&config, "[server]\nlisten = 5\n").expect("it is writable");
    pace.signal(Signal::USR2);
    let line = pace.wait_for_log(&["ERROR", "SIGUSR2: this process serves on: the new process"]);
    assert!(
        line.contains("ended before it could serve (exit status: 1)"),
        "{line}"
    );
    assert!(pace.log().contains("pace: "), "{}", pace.log());
    assert_eq!(pace.get("/").text(), "one");

    fs::write(&config, good).expect("it is writable");
    let _successor = pace.upgrade();
    assert_eq!(pace.get("/").text(), "one");
}

#[test]
fn program_that_is_not_there_any_more_leaves_the_old_process_serving() {
    let backend = HttpBackend::named("one");
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let installed = place.path().join("pace");
    symlink(program(), &installed).expect("the directory is writable");
    let pace = Setup::of(&installed).config(&plain(&[&backend])).start();
    fs::remove_file(&installed).expect("it is there");
    pace.signal(Signal::USR2);
    let line = pace.wait_for_log(&["ERROR", "SIGUSR2: this process serves on:", "cannot be started"]);
    assert!(line.contains(&installed.display().to_string()), "{line}");
    assert_eq!(pace.get("/").text(), "one");
}

#[test]
fn request_in_flight_is_completed_by_the_old_process_and_the_new_one_learns_of_it() {
    let gate = Gate::new();
    let held = gate.clone();
    let backend = HttpBackend::new(move |request| {
        if request.target == "/slow" {
            held.wait();
        }
        Answer::new("served")
    });
    let pace = Setup::new().config(&plain(&[&backend])).start();
    let (address, admin) = (pace.address(), pace.admin_address());
    let mut idle = pace.client();
    assert_eq!(idle.get("/").text(), "served");
    let mut client = pace.client();
    client.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.requests().len() == 2);
    let _successor = pace.upgrade();
    assert_eq!(Client::new(address).get("/").text(), "served");
    // The old process closes what is idle once it has handed everything over.
    assert_eq!(idle.read_to_end(), b"");
    gate.open();
    let response = client.read("GET").expect("the response is whole");
    assert_eq!(
        (response.text(), response.header("connection")),
        ("served", Some("close"))
    );
    pace.wait_for_log(&["the process before has ended: all connections are done"]);
    let metrics = Client::new(admin).get("/metrics");
    assert!(
        metrics
            .text()
            .contains("pace_connections_cut_total{kind=\"request\"} 0")
    );
}

#[test]
fn connections_that_the_old_process_cuts_are_counted_by_the_new_one() {
    let backends = Backends::new();
    let pace = Setup::new()
        .config(&backends.config("127.0.0.1:0", "grace_period_seconds = 1"))
        .start();
    let admin = pace.admin_address();
    let mut client = pace.client();
    switch(&mut client).expect("the protocol is switched");
    let upgraded = |metrics: &str| metrics.contains("pace_connections_upgraded 1\n");
    wait_until("the connection to be counted", || {
        upgraded(pace.admin().get("/metrics").text())
    });
    let _successor = pace.upgrade();
    pace.wait_for_log(&["the process before has ended: 1 connection is cut (1 upgraded)"]);
    let metrics = Client::new(admin).get("/metrics");
    let text = metrics.text();
    assert!(
        text.contains("pace_connections_cut_total{kind=\"upgraded\"} 1"),
        "{text}"
    );
    assert!(text.contains("pace_connections_upgraded 0\n"), "{text}");
}

#[test]
fn second_wish_for_an_upgrade_waits_for_the_first() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new().config(&plain(&[&backend])).start();
    pace.signal(Signal::USR2);
    pace.wait_for_log(&["is started to serve in place of this process"]);
    let _successor = pace.upgrade();
    assert_eq!(pace.log().matches("is started to serve in place of").count(), 1);
    assert_eq!(pace.get("/").text(), "one");
}

#[test]
fn variable_of_the_handover_is_refused_if_somebody_else_sets_it() {
    let run = |value: &str| {
        let setup = Setup::new().env("PACE_HANDOVER", value);
        setup
            .args(["--backend", "127.0.0.1:1", "--listen", "127.0.0.1:0"])
            .run()
    };
    let refused = run("1");
    assert!(
        refused
            .refusal()
            .contains("cannot take the place of the running Pace"),
        "{refused:#?}"
    );
    let unknown = run("7");
    assert!(
        unknown.refusal().contains("PACE_HANDOVER is \"7\""),
        "{unknown:#?}"
    );
}

/// The first process of a container takes the container along when it ends.
#[test]
fn first_process_of_a_container_is_not_upgraded() {
    let can_make_one = Command::new("unshare")
        .args(["--user", "--map-root-user", "--pid", "--fork", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !can_make_one {
        println!("SKIPPED: no namespace of processes can be made here");
        return;
    }
    let backend = HttpBackend::named("one");
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    let pace = Setup::of("unshare".as_ref())
        .args(unshare)
        .args([program()])
        .config(&plain(&[&backend]))
        .start();
    let child = fs::read_to_string(pace.proc(&format!(
        "task/{}/children",
        pace.process().pid().as_raw_nonzero()
    )));
    let child: i32 = child
        .expect("it has one")
        .trim()
        .parse()
        .expect("it is the id of a process");
    let child = rustix::process::Pid::from_raw(child).expect("it is not 0");
    rustix::process::kill_process(child, Signal::USR2).expect("it is ours");
    pace.wait_for_log(&["ERROR", "SIGUSR2: this is the first process of a container"]);
    assert_eq!(pace.get("/").text(), "one");
}
