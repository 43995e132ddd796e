//! Where lines go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use pace_tests::{HttpBackend, Setup, Signal, wait_until};

use super::{FILE, config, lines, start};
use crate::sections::plain;
use crate::swapping::reconfigure;

#[test]
fn renamed_file_is_made_again_at_sigusr1() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, "fields = ['path']");
    let file = pace.directory().join(FILE);
    pace.get("/before");
    assert_eq!(lines(&pace, 1), [r#"{"path":"/before"}"#]);
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o007, 0, "others cannot read it");
    let old = pace.directory().join("access.log.1");
    fs::rename(&file, &old).expect("it is there");
    pace.signal(Signal::USR1);
    pace.wait_for_log(&["SIGUSR1: ", "access.log is opened again"]);
    pace.get("/after");
    assert_eq!(lines(&pace, 1), [r#"{"path":"/after"}"#]);
    let kept = fs::read_to_string(old).expect("it is there");
    assert_eq!(kept, "{\"path\":\"/before\"}\n");
}

/// Files are renamed and opened again while requests are served: each request has one line in one of them.
#[test]
fn no_line_is_lost_or_torn_by_rotation() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, "fields = ['path']");
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 500;
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let pace = &pace;
            scope.spawn(move || {
                let mut connection = pace.client();
                for number in 0..REQUESTS {
                    assert_eq!(connection.get(&format!("/{client}/{number}")).status, 200);
                }
            });
        }
        for rotation in 0..5 {
            let name = format!("{FILE}.{rotation}");
            wait_until("the file to be there", || {
                fs::rename(pace.directory().join(FILE), pace.directory().join(&name)).is_ok()
            });
            pace.signal(Signal::USR1);
            wait_until("another file", || pace.directory().join(FILE).exists());
        }
    });
    let mut told = Vec::new();
    wait_until("every line", || {
        told.clear();
        for entry in fs::read_dir(pace.directory()).expect("it is there").flatten() {
            if entry.file_name().to_string_lossy().starts_with(FILE) {
                let text = fs::read_to_string(entry.path()).expect("it is text");
                told.extend(text.lines().map(str::to_owned));
            }
        }
        told.len() == CLIENTS * REQUESTS
    });
    told.sort();
    let mut sent: Vec<_> = (0..CLIENTS)
        .flat_map(|client| (0..REQUESTS).map(move |number| format!("{{\"path\":\"/{client}/{number}\"}}")))
        .collect();
    sent.sort();
    assert_eq!(told, sent);
}

#[test]
fn lines_go_to_standard_output_without_a_file() {
    let backend = HttpBackend::named("one");
    let text = format!(
        "{}\n[access_log]\nfields = ['path', 'status']\n",
        plain(&[&backend])
    );
    let pace = Setup::new().config(&text).start();
    // Each connection has a worker of its own, which writes the line behind the response: one connection keeps the order.
    let mut client = pace.client();
    for path in ["/a", "/b"] {
        assert_eq!(client.get(path).status, 200);
    }
    // What waits is written before the end.
    let exit = pace.stop();
    assert_eq!(
        exit.stdout,
        "{\"path\":\"/a\",\"status\":200}\n{\"path\":\"/b\",\"status\":200}\n"
    );
}

#[test]
fn full_disk_blocks_no_request_and_lines_are_counted() {
    let backend = HttpBackend::named("one");
    let text = config(&backend, "").replace(FILE, "/dev/full");
    let pace = Setup::new().config(&text).start();
    for _ in 0..10 {
        assert_eq!(pace.get("/").status, 200);
    }
    pace.wait_for_metric("pace_access_log_lines_dropped_total", &[], 10);
    pace.wait_for_log(&["cannot write the access log /dev/full", "No space left on device"]);
}

#[test]
fn another_log_is_taken_by_a_reload_and_a_wrong_one_is_refused() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, "fields = ['path']");
    pace.get("/first");
    assert_eq!(lines(&pace, 1).len(), 1);
    let (status, said) = reconfigure(&pace, |text| text.replace(FILE, "no/such/directory"));
    assert_eq!(status, 409);
    assert!(said.contains("[access_log] file: cannot open "), "{said}");
    pace.get("/second");
    assert_eq!(lines(&pace, 2)[1], r#"{"path":"/second"}"#);
    let text = |text: String| {
        text.replace("no/such/directory", FILE)
            .replace("fields = ['path']", "format = 'text'\nfields = ['status']")
    };
    assert_eq!(reconfigure(&pace, text).0, 200);
    pace.get("/third");
    assert_eq!(lines(&pace, 3)[2], "status=200");
    let (status, _) = reconfigure(&pace, |text| {
        text.replace("[access_log]", "[access_log]\nenabled = false")
    });
    assert_eq!(status, 200);
    pace.get("/fourth");
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "200")], 4);
    assert_eq!(lines(&pace, 3).len(), 3);
}
