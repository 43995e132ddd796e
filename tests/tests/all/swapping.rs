//! A Pace with a plugin whose file tests replace, and clients that send requests all the while.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use pace_tests::{Client, HttpBackend, Pace, Request, Response, edition, fixture, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::sections::{SERVER, with_plugins};

/// A Pace with the plugin `swapped` from the file `plugin.wasm`, on the only route.
pub(crate) struct Swapping {
    pub(crate) pace: Pace,
    pub(crate) backend: HttpBackend,
    files: TempDir,
}

/// The name of the plugin.
pub(crate) const SWAPPED: &str = "swapped";

/// The header that has Pace name the generations that served a request.
const DEBUG_HEADER: &str = "x-debug";

/// An edition of the plugin that most tests swap: it answers `/respond` itself, and lets everything else
/// pass.
pub(crate) fn respond(number: u8) -> Vec<u8> {
    edition(&fixture("respond"), number)
}

impl Swapping {
    /// Starts with the first edition of `respond`.
    pub(crate) fn new() -> Swapping {
        Swapping::with(&respond(1), "")
    }

    /// Starts with this content in the file, and these keys in the plugin's table.
    pub(crate) fn with(content: &[u8], keys: &str) -> Swapping {
        let files = directory();
        let file = files.path().join("plugin.wasm");
        fs::write(&file, content).expect("a temporary file can be written");
        Swapping::start(files, &file, keys)
    }

    /// Starts with this plugin file, in this directory.
    pub(crate) fn start(files: TempDir, file: &Path, keys: &str) -> Swapping {
        let backend = HttpBackend::named("one");
        let config = config(file, keys, &backend);
        Swapping {
            pace: Pace::with_config(&config),
            backend,
            files,
        }
    }

    /// The path of the plugin's file, or of one beside it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Replaces the plugin's file by a rename, so that half a file is never seen.
    pub(crate) fn replace(&self, content: &[u8]) {
        let (new, file) = (self.path("new"), self.path("plugin.wasm"));
        fs::write(&new, content).expect("a temporary file can be written");
        fs::rename(new, file).expect("a temporary file can be renamed");
    }

    /// The plugin's entry in `/plugins`.
    pub(crate) fn status(&self) -> Value {
        self.pace.plugin(SWAPPED)
    }

    /// Waits until this generation serves.
    pub(crate) fn wait_for_generation(&self, number: u64) {
        self.pace.wait_for_generation(SWAPPED, number);
        assert_eq!(self.serving(), number, "requests and /plugins agree");
    }

    /// The generation that serves a request now.
    pub(crate) fn serving(&self) -> u64 {
        generation(&ask(&mut self.pace.client(), "/"))
    }

    /// Sends a POST about the plugin to the admin listener: `reload` or `rollback`. Returns status and
    /// sentence.
    pub(crate) fn post(&self, what: &str) -> (u16, String) {
        let target = format!("/plugins/{SWAPPED}/{what}");
        let response = self.pace.admin().send(&Request::post(&target, ""));
        (response.status, response.text().to_owned())
    }

    /// Waits until a file was refused for a reason that has these words, and generation 1 serves on.
    pub(crate) fn wait_for_refusal(&self, words: &[&str]) {
        wait_until(&format!("a refusal with {words:?}"), || {
            let status = self.status();
            let reason = status["refused"]["reason"].as_str().unwrap_or_default();
            words.iter().all(|word| reason.contains(word))
        });
        assert_eq!(self.serving(), 1, "the old generation serves on");
    }

    /// The number of files that were taken, refused, or given up again.
    pub(crate) fn reloads(&self, result: &str) -> u64 {
        let labels = [("plugin", SWAPPED), ("result", result)];
        self.pace.metrics().sum("pace_plugin_reloads_total", &labels)
    }

    /// Runs `during` while clients keep sending requests, on one connection and on a new one each time. None
    /// of their requests may fail or reach the backend twice, and no client may be served by an older
    /// generation than before.
    pub(crate) fn under_load<T>(&self, during: impl FnOnce() -> T) -> T {
        /// Stops the clients, also when the test has failed.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        const TARGET: &str = "/under-load";
        let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        let arrived = || {
            let requests = self.backend.requests();
            requests.iter().filter(|request| request.target == TARGET).count()
        };
        let before = arrived();
        let done = thread::scope(|scope| {
            for keep_alive in [true, false] {
                let (stop, served) = (&stop, &served);
                scope.spawn(move || {
                    let mut client = self.pace.client();
                    let mut newest = 0;
                    while !stop.load(Ordering::Relaxed) {
                        if !keep_alive {
                            client = self.pace.client();
                        }
                        let response = ask(&mut client, TARGET);
                        served.fetch_add(1, Ordering::Relaxed);
                        assert_eq!((response.status, response.text()), (200, "one"));
                        let generation = generation(&response);
                        assert!(generation >= newest, "{generation} after {newest}");
                        newest = generation;
                    }
                });
            }
            let _stop = Stop(&stop);
            during()
        });
        assert_eq!(arrived() - before, served.into_inner());
        done
    }
}

/// A temporary directory for plugins.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// A configuration with the plugin `swapped` on the only route.
pub(crate) fn config(file: &Path, keys: &str, backend: &HttpBackend) -> String {
    let server = format!("{SERVER}debug_header = {DEBUG_HEADER:?}\n");
    let config = with_plugins(&server, &[(SWAPPED, file)], &[backend]);
    config.replacen("\n[[pools]]", &format!("{keys}\n\n[[pools]]"), 1)
}

/// Sends a request that asks for the generations.
pub(crate) fn ask(client: &mut Client, target: &str) -> Response {
    client.send(&Request::get(target).header(DEBUG_HEADER, "1"))
}

/// The generation of the plugin that served a request.
pub(crate) fn generation(response: &Response) -> u64 {
    let generations = response.header("x-pace-generations").expect("it was asked for");
    let number = generations
        .split(' ')
        .find_map(|one| one.strip_prefix(SWAPPED)?.strip_prefix('=')?.parse().ok());
    number.unwrap_or_else(|| panic!("{SWAPPED} in {generations}"))
}

/// Changes the configuration of a Pace with an admin listener, and has it read again. Returns status and
/// sentence.
pub(crate) fn reconfigure(pace: &Pace, change: impl FnOnce(String) -> String) -> (u16, String) {
    let path = pace.directory().join("pace.toml");
    let text = fs::read_to_string(&path).expect("it was started with this file");
    fs::write(path, change(text)).expect("it is in a temporary directory");
    let response = pace.admin().send(&Request::post("/reload", ""));
    (response.status, response.text().to_owned())
}
