//! Replaced generations and clients that went away leave nothing behind.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pace_tests::{Answer, Client, Gate, HttpBackend, Pace, fixture, text_fixture, wait_until, with_section};
use parking_lot::Mutex;

use crate::sections::{SERVER, plugin, pool};
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

/// A generation that still exists also has an open file, the image of its memory, so none is missed.
#[test]
fn replaced_generations_are_freed() {
    const SWAPS: u32 = 1000;
    /// Swaps after which the allocator and the instances of both workers have all the memory that they ever
    /// need.
    const WARM_UP: u32 = 50;
    const ALLOWED_KIB: u64 = 10 << 10;
    let module = text_fixture("pass");
    let swapping = Swapping::with(&module, "");
    let swap = |number: u32| {
        swapping.replace(&with_section(&module, &number.to_le_bytes()));
        let (status, sentence) = swapping.post("reload");
        assert_eq!(status, 200, "{sentence}");
        // Two clients, because both workers make instances.
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

/// Backends that clients leave while they wait.
struct Behind {
    /// Requests that have come as far as a backend that does not answer. They are let go when the group has
    /// gone.
    waiting: AtomicUsize,
    gate: Mutex<Gate>,
}

impl Behind {
    /// Two backends, asked in this order.
    fn backends(self: &Arc<Behind>) -> [HttpBackend; 2] {
        [false, true].map(|second| {
            let behind = Arc::clone(self);
            HttpBackend::new(move |request| match request.target.as_str() {
                "/retry" if !second => Answer::hang_up(),
                "/never" | "/retry" => {
                    let gate = behind.gate.lock().clone();
                    behind.waiting.fetch_add(1, Ordering::Relaxed);
                    gate.wait();
                    Answer::new("too late")
                }
                "/endless" => Answer::chunks(std::iter::repeat_with(|| vec![b'a'; 8192])),
                _ => Answer::new("quick"),
            })
        })
    }

    /// Lets the waiting requests go. The next group has another gate.
    fn open(&self) {
        let gate = std::mem::take(&mut *self.gate.lock());
        gate.open();
        self.waiting.store(0, Ordering::Relaxed);
    }
}

/// A request, or a part of one, after which the client leaves.
struct Visit {
    /// The phase in which the client leaves.
    phase: &'static str,
    /// The bytes that the client sends.
    sends: &'static str,
    /// Whether the client has received what it waits for, and leaves.
    leaves: fn(&mut Client) -> bool,
    /// Whether all of a group must have come as far as a backend that does not answer.
    waits: bool,
    /// The number of clients that do it at the same time.
    group: usize,
}

impl Visit {
    const fn new(phase: &'static str, sends: &'static str) -> Visit {
        Visit {
            phase,
            sends,
            leaves: |_| true,
            waits: false,
            group: 50,
        }
    }
}

const VISITS: [Visit; 8] = [
    Visit::new("while connecting", ""),
    Visit::new("in the middle of the head", "GET /half"),
    Visit::new(
        "in the middle of the body",
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nonly this",
    ),
    Visit {
        waits: true,
        ..Visit::new(
            "while waiting for the backend",
            "GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
        )
    },
    Visit {
        waits: true,
        ..Visit::new("during a retry", "GET /retry HTTP/1.1\r\nHost: a\r\n\r\n")
    },
    Visit {
        leaves: |client| client.received().len() > 10_000,
        ..Visit::new(
            "in the middle of the response",
            "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n",
        )
    },
    Visit {
        leaves: |client| client.has_received(),
        ..Visit::new(
            "with the response unread",
            "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n",
        )
    },
    Visit {
        leaves: |client| {
            client
                .read("GET")
                .is_ok_and(|response| response.text() == "quick")
        },
        ..Visit::new(
            "when there was nothing more to do",
            "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n",
        )
    },
];

/// Leaves with a response unread. Each answer is 8 MiB, more than sockets hold, and so much that an allocator
/// keeps some of it for later: these clients come last, after resident memory has been measured.
const UNREAD: Visit = Visit {
    leaves: |client| client.has_received(),
    group: 5,
    ..Visit::new(
        "with a plugin's answer unread",
        "GET /misbehave HTTP/1.1\r\nHost: a\r\n\r\n",
    )
};

/// The number of clients over all phases, half of them for each isolation.
const VISITORS: usize = 10_000;

#[test]
fn clients_that_leave_are_freed() {
    /// Rounds after which the allocator has all the memory that it ever needs.
    const WARM_UP: usize = 2;
    const ALLOWED_KIB: u64 = 10 << 10;
    let each = VISITS.iter().map(|visit| visit.group).sum::<usize>();
    let rounds = (VISITORS / 2).div_ceil(each);
    for isolation in ["worker", "request"] {
        let behind = Arc::new(Behind {
            waiting: AtomicUsize::new(0),
            gate: Mutex::default(),
        });
        let backends = behind.backends();
        let pace = visited(isolation, &backends);
        assert_eq!(pace.get("/in-flight").text(), "0 0", "{isolation}");
        let files = open_files(&pace);
        let mut memory = 0;
        for round in 0..rounds {
            if round == WARM_UP {
                memory = resident(&pace);
            }
            for visit in &VISITS {
                group_of(visit, &pace, &behind);
            }
        }
        let after = resident(&pace);
        for _ in 0..rounds {
            group_of(&UNREAD, &pace, &behind);
        }
        let visitors = (rounds * each) as u64;
        let gauge = |name| pace.metrics().sum(name, &[]);
        assert!(gauge("pace_connections_total") >= visitors, "they were there");
        assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), 0);
        assert_eq!(pace.get("/in-flight").text(), "0 0", "{isolation}");
        assert!(
            after < memory + ALLOWED_KIB,
            "{isolation}: {memory} KiB, and {visitors} visitors later {after} KiB"
        );
        // Pace may keep connections to the backends for the next request; they end with the backends.
        drop(backends);
        wait_until(&format!("{isolation}: the sockets to be closed"), || {
            open_files(&pace) <= files
        });
    }
}

/// Starts a Pace with a plugin for each hook, all with this isolation.
fn visited(isolation: &str, backends: &[HttpBackend; 2]) -> Pace {
    let names = ["large-reply", "secret-keeper", "in-order"];
    let plugins = names.map(|name| {
        let limits = match name {
            // Filling and copying so much takes a while on a busy machine.
            "large-reply" => "limits = { body_kb = 8192, memory_mb = 64, time_ms = 1000 }\n",
            _ => "",
        };
        format!(
            "{}isolation = {isolation:?}\n{limits}\n",
            plugin(name, &fixture(name))
        )
    });
    let [first, second] = backends;
    Pace::with_config(&format!(
        // Every request may be sent twice.
        "{SERVER}\n{}{}retry = {{ budget_percent = 100 }}\n\n[[routes]]\npool = \"web\"\nplugins = {names:?}\n",
        plugins.concat(),
        pool("web", &[first, second]),
    ))
}

/// Runs a group of clients at the same time, and waits until Pace has released everything.
fn group_of(visit: &Visit, pace: &Pace, behind: &Behind) {
    let mut clients: Vec<Client> = (0..visit.group).map(|_| pace.client()).collect();
    for client in &mut clients {
        client.connect().expect("Pace accepts connections");
        client.write(visit.sends);
    }
    if visit.waits {
        wait_until(&format!("all who leave {} to be there", visit.phase), || {
            behind.waiting.load(Ordering::Relaxed) == visit.group
        });
    }
    for mut client in clients {
        wait_until("what the client waits for", || (visit.leaves)(&mut client));
    }
    behind.open();
    wait_until(&format!("nobody to be there who left {}", visit.phase), || {
        let metrics = pace.metrics();
        ["pace_requests_in_flight", "pace_connections_open"]
            .iter()
            .all(|gauge| metrics.sum(gauge, &[]) == 0)
    });
}
