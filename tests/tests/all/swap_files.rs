//! Files that cannot be taken: the previous generation serves on, and the reason is reported.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use pace_tests::{HttpBackend, Pace, Request, Setup, Signal, component, fixture, text_fixture, wait_until};
use serde_json::Value;

use crate::sections::{SERVER, with_plugins};
use crate::swapping::{SWAPPED, Swapping, directory, respond};

/// A bad file in place of a good one.
enum Bad {
    Content(Vec<u8>),
    /// A file of this many zeros.
    Zeros(u64),
    /// A link to this path, which is relative to the link's directory.
    Link(&'static str),
    Fifo,
    Nothing,
}

impl Bad {
    /// Replaces the plugin's file in one step.
    fn place(&self, swapping: &Swapping) {
        let (new, file) = (swapping.path("new"), swapping.path("plugin.wasm"));
        match self {
            Bad::Content(content) => fs::write(&new, content),
            Bad::Zeros(length) => File::create(&new).and_then(|file| file.set_len(*length)),
            Bad::Link(target) => symlink(target, &new),
            Bad::Fifo => Command::new("mkfifo").arg(&new).status().map(drop),
            Bad::Nothing => return fs::remove_file(file).expect("it is there"),
        }
        .expect("it can be made");
        fs::rename(new, file).expect("it can be renamed");
    }
}

fn built(name: &str) -> Bad {
    Bad::Content(fs::read(fixture(name)).expect("it has been built"))
}

fn cut(to: impl Fn(usize) -> usize) -> Bad {
    let mut content = respond(2);
    content.truncate(to(content.len()));
    Bad::Content(content)
}

/// Bad files, with words of the reason for each.
fn bad_files() -> Vec<(Bad, &'static [&'static str])> {
    let headers = fs::read(component("header-injection")).expect("it has been built");
    vec![
        (Bad::Content(Vec::new()), &["not WebAssembly", "empty"]),
        (Bad::Content(b"<html>".to_vec()), &["not WebAssembly", "<html>"]),
        (cut(|_| 6), &["WebAssembly"]),
        (cut(|length| length / 2), &["invalid WebAssembly"]),
        (cut(|length| length - 1), &["invalid WebAssembly"]),
        (built("wrong-version"), &["pace:plugin@9.9.9"]),
        (built("unknown-import"), &["imports `acme:extra/thing`"]),
        (built("wasi-import"), &["wasi:keyvalue/store"]),
        (built("wrong-type"), &["expected func() -> verdict"]),
        (built("missing-configure"), &["lifecycle@0.1.0`"]),
        (built("no-hook"), &["exports no hook"]),
        (built("refuses-config"), &["colour: must be `green`"]),
        (built("endless-configure"), &["configure", "deadline"]),
        (Bad::Content(text_fixture("trap-start")), &["trap", "unreachable"]),
        (Bad::Content(text_fixture("endless-start")), &["deadline"]),
        (Bad::Content(text_fixture("huge-memory")), &["allowed"]),
        (Bad::Zeros(33 << 20), &["34603008 bytes", "33554432 are allowed"]),
        (Bad::Link("plugin.wasm"), &["cannot read", "symbolic links"]),
        // This link stands between those that lead nowhere, so that each is a change.
        (Bad::Link("directory"), &["not a regular file"]),
        (Bad::Link("nowhere"), &["cannot read", "No such file"]),
        (Bad::Fifo, &["not a regular file"]),
        (Bad::Nothing, &["cannot read", "No such file"]),
        (
            Bad::Content(headers[..headers.len() / 3].to_vec()),
            &["invalid WebAssembly"],
        ),
    ]
}

#[test]
fn previous_generation_serves_on_after_a_bad_file() {
    let swapping = Swapping::new();
    let file = swapping.path("plugin.wasm").display().to_string();
    fs::create_dir(swapping.path("directory")).expect("it can be made");
    let sha256 = swapping.status()["sha256"].clone();
    swapping.under_load(|| {
        for (refused, (bad, words)) in (1..).zip(bad_files()) {
            bad.place(&swapping);
            wait_until(&format!("the {refused}th file to be refused"), || {
                swapping.reloads("refused") == refused
            });
            swapping.wait_for_refusal(words);

            let status = swapping.status();
            assert_eq!((&status["sha256"], &status["generation"]), (&sha256, &1.into()));
            let readable = !matches!(bad, Bad::Zeros(_) | Bad::Link(_) | Bad::Fifo | Bad::Nothing);
            assert_eq!(status["refused"]["sha256"].is_string(), readable, "{words:?}");
            let told = [&["ERROR", SWAPPED, &file, "generation 1 (", "serves on"], words].concat();
            swapping.pace.wait_for_entry(&told);
        }
        swapping.replace(&respond(2));
        swapping.wait_for_generation(2);
    });
    assert_eq!(swapping.status()["refused"], Value::Null, "it is over");
    assert_eq!(swapping.reloads("published"), 1);
}

/// A requested reload is answered with the reason.
#[test]
fn requested_reload_of_a_bad_file_is_refused_with_the_reason() {
    let swapping = Swapping::new();
    built("unknown-import").place(&swapping);
    for _ in 0..2 {
        let (status, sentence) = swapping.post("reload");
        assert_eq!(status, 409);
        for part in ["plugin.wasm", "acme:extra/thing", "generation 1 (", "serves on"] {
            assert!(sentence.contains(part), "{part} in {sentence}");
        }
    }
    assert_eq!(swapping.serving(), 1);
}

/// A refused file is not tried again while it is the same, except on request.
#[test]
fn refused_file_is_tried_again_only_on_request() {
    let files = directory();
    let path = |name: &str| files.path().join(name);
    // When the second plugin's file has been read, so has the first's.
    for name in ["first.wasm", "second.wasm"] {
        fs::write(path(name), respond(1)).expect("it can be written");
    }
    let (first, second) = (path("first.wasm"), path("second.wasm"));
    let plugins = [("first", first.as_path()), ("second", second.as_path())];
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(SERVER, &plugins, &[&backend]));
    let refused = || {
        let labels = [("plugin", "first"), ("result", "refused")];
        pace.metrics().sum("pace_plugin_reloads_total", &labels)
    };
    for number in 2..5 {
        fs::copy(fixture("no-hook"), &first).expect("it can be written");
        fs::write(&second, respond(number)).expect("it can be written");
        pace.wait_for_generation("second", number.into());
    }
    assert_eq!(refused(), 1);

    let told = || pace.log().matches("exports no hook").count();
    assert_eq!(told(), 1);
    pace.signal(Signal::HUP);
    wait_until("it to be tried again", || refused() == 2);
    wait_until("it to be told again", || told() == 2);
    let answer = pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(answer.status, 409, "{answer:?}");
    for part in ["`first`", "exports no hook", "generation 1 (", "serves on"] {
        assert!(answer.text().contains(part), "{part} in {answer:?}");
    }
    assert!(!answer.text().contains("`second`"), "{answer:?}");
}

/// A file deleted by mistake and put back serves on.
#[test]
fn deleted_file_that_comes_back_serves_on() {
    let swapping = Swapping::new();
    Bad::Nothing.place(&swapping);
    swapping.wait_for_refusal(&["No such file"]);
    swapping.replace(&respond(1));
    wait_until("nothing to be refused any more", || {
        swapping.status()["refused"] == Value::Null
    });
    assert_eq!(swapping.serving(), 1);
    assert_eq!(swapping.reloads("published"), 0, "it is the file that serves");
}

#[test]
fn file_with_another_hash_than_pinned_is_refused() {
    let sha256 = |number| Swapping::with(&respond(number), "").status()["sha256"].clone();
    let (first, second) = (sha256(1), sha256(2));
    let swapping = Swapping::with(&respond(1), &format!("sha256 = {first}"));
    swapping.replace(&respond(2));
    let words = [&first, &second].map(|sha256| sha256.as_str().expect("it is a text"));
    swapping.wait_for_refusal(&words);
    assert_eq!(swapping.status()["refused"]["sha256"], second);

    // At the start, such a file is a reason not to start.
    let file = swapping.path("plugin.wasm");
    let config = with_plugins(SERVER, &[(SWAPPED, &file)], &[&HttpBackend::down()]);
    let pinned = config.replacen("\n[[pools]]", &format!("sha256 = {first}\n\n[[pools]]"), 1);
    let exit = Setup::new().config(&pinned).run();
    for word in words {
        assert!(exit.refusal().contains(word), "{exit:?}");
    }
}
