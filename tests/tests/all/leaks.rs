//! What is over leaves nothing behind: generations that were replaced, and clients that went away.

use std::fs;
use std::sync::Arc;

use pace_tests::{Answer, Client, Gate, Origin, Pace, fixture, text_fixture, wait_until, with_section};
use parking_lot::Mutex;

use crate::sections::{SERVER, with_plugins};
use crate::swapping::{SWAPPED, Swapping};

/// Resident memory in KiB.
fn resident(pace: &Pace) -> u64 {
    let status = fs::read_to_string(pace.proc("status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("Linux says how much memory is resident")
}

fn open_files(pace: &Pace) -> usize {
    fs::read_dir(pace.proc("fd")).expect("the process lives").count()
}

/// A generation that is still there also has an open file, the image of its memory: none is missed.
#[test]
fn a_thousand_generations_that_were_replaced_are_freed() {
    const SWAPS: u32 = 1000;
    /// The allocator and the instances of both workers have all that they ever need by then.
    const WARM_UP: u32 = 50;
    const ALLOWED_KIB: u64 = 10 << 10;
    let module = text_fixture("pass");
    let swapping = Swapping::with(&module, "");
    let swap = |number: u32| {
        swapping.replace(&with_section(&module, &number.to_le_bytes()));
        let (status, sentence) = swapping.post("reload");
        assert_eq!(status, 200, "{sentence}");
        // Both workers make instances.
        let mut clients = [swapping.pace.client(), swapping.pace.client()];
        for client in &mut clients {
            client.connect().expect("Pace accepts connections");
        }
        for client in &mut clients {
            assert_eq!(client.get("/").text(), "one");
        }
    };
    (0..WARM_UP).for_each(swap);
    let (before, files) = (resident(&swapping.pace), open_files(&swapping.pace));
    (WARM_UP..WARM_UP + SWAPS).for_each(swap);
    let generations = u64::from(1 + WARM_UP + SWAPS);
    assert_eq!(swapping.pace.generation(SWAPPED), generations);
    let after = resident(&swapping.pace);
    assert!(
        after < before + ALLOWED_KIB,
        "{before} KiB, and {SWAPS} generations later {after} KiB"
    );
    wait_until("no file to be open besides", || {
        open_files(&swapping.pace) <= files
    });
}

/// A request, or a part of one, after which the client leaves.
struct Visit {
    /// In which phase it leaves.
    phase: &'static str,
    /// What it sends.
    sends: &'static str,
    /// Whether it has what it waits for, and leaves. The number is that of those who have come before it, or
    /// with it.
    leaves: fn(&Client, &Origin, usize) -> bool,
}

const VISITS: [Visit; 6] = [
    Visit {
        phase: "while connecting",
        sends: "",
        leaves: |_, _, _| true,
    },
    Visit {
        phase: "in the middle of the head",
        sends: "GET /half",
        leaves: |_, _, _| true,
    },
    Visit {
        phase: "in the middle of the body",
        sends: "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nonly this",
        leaves: |_, _, _| true,
    },
    Visit {
        phase: "while waiting for the backend",
        sends: "GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
        leaves: |_, origin, visitors| origin.requests().len() >= visitors,
    },
    Visit {
        phase: "in the middle of the response",
        sends: "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n",
        leaves: |client, _, _| client.received().len() > 10_000,
    },
    Visit {
        phase: "with the response unread",
        sends: "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n",
        leaves: |client, _, _| client.has_received(),
    },
];

/// Over all phases.
const VISITORS: usize = 10_000;

/// Visitors who are there at the same time.
const GROUP: usize = 50;

#[test]
fn ten_thousand_clients_that_went_away_leave_nothing() {
    let groups = VISITORS.div_ceil(VISITS.len() * GROUP);
    for visit in &VISITS {
        // Those that wait for the backend are over when it is opened, and the next group has another.
        let never = Arc::new(Mutex::new(Gate::new()));
        let behind = Arc::clone(&never);
        let origin = Origin::new(move |request| match request.target.as_str() {
            "/never" => {
                let gate = behind.lock().clone();
                gate.wait();
                Answer::new("too late")
            }
            "/endless" => Answer::chunks(std::iter::repeat_with(|| vec![b'a'; 8192])),
            _ => Answer::new("quick"),
        });
        let pace = Pace::with_config(&with_plugins(
            SERVER,
            &[
                ("keep", &fixture("secret-keeper")),
                ("respond", &fixture("respond")),
            ],
            &[&origin],
        ));
        let gauge = |name| pace.metrics().sum(name, &[]);
        gauge("pace_connections_open");
        let files = open_files(&pace);
        for group in 1..=groups {
            let mut clients: Vec<Client> = (0..GROUP).map(|_| pace.client()).collect();
            for client in &mut clients {
                client.connect().expect("Pace accepts connections");
                client.write(visit.sends);
            }
            for client in clients {
                wait_until("what the client waits for", || {
                    (visit.leaves)(&client, &origin, group * GROUP)
                });
            }
            let gate = std::mem::take(&mut *never.lock());
            gate.open();
        }
        wait_until(&format!("nobody to be there who left {}", visit.phase), || {
            gauge("pace_requests_in_flight") == 0 && gauge("pace_connections_open") == 0
        });
        // Connections to the backend may be kept for the next request.
        drop(origin);
        wait_until(
            &format!("the sockets of those who left {} to be closed", visit.phase),
            || open_files(&pace) <= files,
        );
        let visitors = (groups * GROUP) as u64;
        assert!(gauge("pace_connections_total") >= visitors, "they were there");
        assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), 0);
    }
}
