//! A Pace with a plugin whose file tests replace, and clients that ask all the while.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use pace_tests::{Client, Origin, Pace, Request, Response, edition, fixture, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::sections::{SERVER, with_plugins};

/// The plugin `swapped` from the file `plugin.wasm`, on the only route.
pub(crate) struct Swapping {
    pub(crate) pace: Pace,
    pub(crate) origin: Origin,
    files: TempDir,
}

/// The name of the plugin.
pub(crate) const SWAPPED: &str = "swapped";

/// Tells Pace to name the generations that served a request.
const DEBUG_HEADER: &str = "x-debug";

/// The first edition of what most tests swap: it answers `/respond` itself, and lets everything else pass.
pub(crate) fn respond(number: u8) -> Vec<u8> {
    edition(&fixture("respond"), number)
}

impl Swapping {
    /// With the first edition of `respond`.
    pub(crate) fn new() -> Swapping {
        Swapping::with(&respond(1), "")
    }

    /// With this content in the file, and these keys in the plugin's table.
    pub(crate) fn with(content: &[u8], keys: &str) -> Swapping {
        let files = directory();
        let file = files.path().join("plugin.wasm");
        fs::write(&file, content).expect("a temporary file can be written");
        Swapping::start(files, &file, keys)
    }

    /// With this file, in these files.
    pub(crate) fn start(files: TempDir, file: &Path, keys: &str) -> Swapping {
        let origin = Origin::named("one");
        let config = config(file, keys, &origin);
        Swapping {
            pace: Pace::with_config(&config),
            origin,
            files,
        }
    }

    /// The plugin's file, or one beside it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Replaces the plugin's file as careful people do: by a rename, so that nobody sees half a file.
    pub(crate) fn replace(&self, content: &[u8]) {
        let (new, file) = (self.path("new"), self.path("plugin.wasm"));
        fs::write(&new, content).expect("a temporary file can be written");
        fs::rename(new, file).expect("a temporary file can be renamed");
    }

    /// What `/plugins` says.
    pub(crate) fn status(&self) -> Value {
        self.pace.plugin(SWAPPED)
    }

    /// Waits until this generation serves.
    pub(crate) fn wait_for_generation(&self, number: u64) {
        self.pace.wait_for_generation(SWAPPED, number);
        assert_eq!(self.serving(), number, "requests and /plugins agree");
    }

    /// Which generation serves a request now.
    pub(crate) fn serving(&self) -> u64 {
        generation(&ask(&mut self.pace.client(), "/"))
    }

    /// POST to the admin listener about the plugin: `reload` or `rollback`. Status and sentence.
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

    /// How many times a file was taken, refused, or given up again.
    pub(crate) fn reloads(&self, result: &str) -> u64 {
        let labels = [("plugin", SWAPPED), ("result", result)];
        self.pace.metrics().sum("pace_plugin_reloads_total", &labels)
    }

    /// Does something while clients keep asking, on one connection and on a new one each time. None of
    /// their requests may fail or come to the backend twice, and no client may be served by a generation older
    /// than the one before.
    pub(crate) fn under_load<T>(&self, during: impl FnOnce() -> T) -> T {
        /// Lets the clients stop, also when the test has failed.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        const TARGET: &str = "/under-load";
        let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        let arrived = || {
            let requests = self.origin.requests();
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

/// A directory for plugins.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// The plugin `swapped` on the only route.
pub(crate) fn config(file: &Path, keys: &str, origin: &Origin) -> String {
    let server = format!("{SERVER}debug_header = {DEBUG_HEADER:?}\n");
    let config = with_plugins(&server, &[(SWAPPED, file)], &[origin]);
    config.replacen("\n[[pools]]", &format!("{keys}\n\n[[pools]]"), 1)
}

/// Asks, and wants to know the generations.
pub(crate) fn ask(client: &mut Client, target: &str) -> Response {
    client.send(&Request::get(target).header(DEBUG_HEADER, "1"))
}

/// Which generation of the plugin served a request.
pub(crate) fn generation(response: &Response) -> u64 {
    let generations = response.header("x-pace-generations").expect("it was asked for");
    let number = generations
        .split(' ')
        .find_map(|one| one.strip_prefix(SWAPPED)?.strip_prefix('=')?.parse().ok());
    number.unwrap_or_else(|| panic!("{SWAPPED} in {generations}"))
}

/// Changes the configuration of a Pace with an admin listener, and has it read again. Status and sentence.
pub(crate) fn reconfigure(pace: &Pace, change: impl FnOnce(String) -> String) -> (u16, String) {
    let path = pace.directory().join("pace.toml");
    let text = fs::read_to_string(&path).expect("it was started with this file");
    fs::write(path, change(text)).expect("it is in a temporary directory");
    let response = pace.admin().send(&Request::post("/reload", ""));
    (response.status, response.text().to_owned())
}
