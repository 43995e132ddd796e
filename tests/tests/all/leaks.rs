//! What is over leaves nothing behind: generations that were replaced, and clients that went away.

use std::fs;

use pace_tests::{Answer, Client, Gate, Origin, Pace, fixture, wait_until};

use crate::sections::{SERVER, with_plugins};
use crate::swapping::{SWAPPED, Swapping, respond};

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
fn generations_that_were_replaced_are_freed() {
    const ALLOWED_KIB: u64 = 20 << 10;
    let swapping = Swapping::new();
    let swap = |number: u8| {
        swapping.replace(&respond(number));
        let (status, sentence) = swapping.post("reload");
        assert_eq!(status, 200, "{sentence}");
        // Both workers make instances.
        let mut clients = [swapping.pace.client(), swapping.pace.client()];
        for client in &mut clients {
            client.connect().expect("Pace accepts connections");
        }
        for client in &mut clients {
            assert_eq!(client.get("/respond").status, 418);
        }
    };
    (2..22).for_each(swap);
    let (before, files) = (resident(&swapping.pace), open_files(&swapping.pace));
    (22..62).for_each(swap);
    assert_eq!(swapping.pace.generation(SWAPPED), 61);
    let after = resident(&swapping.pace);
    assert!(
        after < before + ALLOWED_KIB,
        "{before} KiB, and 40 generations later {after} KiB"
    );
    wait_until("no file to be open besides", || {
        open_files(&swapping.pace) <= files
    });
}

/// A request, or a part of one, after which the client leaves.
struct Visit {
    /// What it sends.
    sends: &'static str,
    /// Whether it has what it waits for, and leaves.
    leaves: fn(&Client, &Origin, usize) -> bool,
}

const VISITS: [Visit; 6] = [
    Visit {
        sends: "GET /half",
        leaves: |_, _, _| true,
    },
    Visit {
        sends: "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nonly this",
        leaves: |_, _, _| true,
    },
    Visit {
        sends: "GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
        leaves: |_, origin, visit| origin.requests().len() > visit,
    },
    Visit {
        sends: "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n",
        leaves: |client, _, _| client.received().len() > 10_000,
    },
    Visit {
        sends: "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n",
        leaves: |client, _, _| client.has_received(),
    },
    Visit {
        sends: "",
        leaves: |_, _, _| true,
    },
];

#[test]
fn clients_that_went_away_leave_nothing() {
    const VISITORS: usize = 200;
    for visit in &VISITS {
        let never = Gate::new();
        let behind = never.clone();
        let origin = Origin::new(move |request| match request.target.as_str() {
            "/never" => {
                behind.wait();
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
        pace.metrics();
        let files = open_files(&pace);
        for number in 0..VISITORS {
            let mut client = pace.client();
            client.connect().expect("Pace accepts connections");
            client.write(visit.sends);
            wait_until("what the client waits for", || {
                (visit.leaves)(&client, &origin, number)
            });
        }
        let gauge = |name| pace.metrics().sum(name, &[]);
        wait_until(&format!("nobody to be there after {:?}", visit.sends), || {
            gauge("pace_requests_in_flight") == 0 && gauge("pace_connections_open") == 0
        });
        // Connections to the backend may be kept for the next request.
        never.open();
        drop(origin);
        wait_until(&format!("sockets to be closed after {:?}", visit.sends), || {
            open_files(&pace) <= files
        });
        let visitors = VISITORS as u64;
        assert!(gauge("pace_connections_total") >= visitors, "they were there");
        assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), 0);
    }
}
