//! docs/plugins.md from its first command to its last: a plugin is created, built, tested, served, swapped
//! and rolled back.
//!
//! A shell runs the commands as they are written, one block after the other, except for
//!
//! - ports, which are free ones;
//! - the plugin's build, which uses the crates of `target/wasm`, so that nothing is downloaded;
//! - the command that serves, which is started apart, and goes on to the end of the page;
//! - `pace plugin run`, which has tests of its own.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use pace_tests::{HttpBackend, Pace, Setup, program, root};

use super::page::{Page, is_output};

/// The setting in which the page's commands run.
struct Place {
    /// The directory of the current command: the project, as soon as there is one.
    directory: PathBuf,
    /// The directory of `pace`.
    bin: PathBuf,
    backend: HttpBackend,
    pace: Option<Pace>,
}

#[test]
fn plugin_gets_to_production_as_the_page_says() {
    let mut place = Place::new();
    let page = Page::of("docs/plugins.md");
    let mut done = 0;
    for (index, block) in page.blocks.iter().enumerate() {
        if let Some(name) = block.file() {
            place.write(name, &block.text);
        }
        if block.language != "sh" || block.text.starts_with("pace plugin run") {
            continue;
        }
        done += 1;
        let output = place.run(&block.text);
        let next = page.blocks.get(index + 1);
        if let Some(shown) = next.filter(|next| next.language == "text" && next.section == block.section) {
            let (shown, printed): (Vec<_>, Vec<_>) = (shown.text.lines().collect(), output.lines().collect());
            assert!(
                is_output(&shown, &printed),
                "the commands at docs/plugins.md:{} do not print\n{shown:#?}\nbut\n{printed:#?}",
                block.line
            );
        }
    }
    assert!(done >= 8, "only {done} blocks of commands");
    let exit = place.pace.expect("one of the commands serves").stop();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
}

impl Place {
    fn new() -> Place {
        // The path is always the same, because cargo keeps its builds by the path of the project.
        let directory = root().join("target/projects/page");
        // The directory does not exist the first time.
        let _ = fs::remove_dir_all(&directory);
        let bin = directory.join("bin");
        fs::create_dir_all(&bin).expect("target/ is ours");
        symlink(program(), bin.join("pace")).expect("the directory was empty");
        Place {
            directory,
            bin,
            backend: HttpBackend::named("in"),
            pace: None,
        }
    }

    /// Writes a file of the page.
    fn write(&self, name: &str, text: &str) {
        let text = text.replace("127.0.0.1:8000", &self.backend.label());
        let text = text.replace(":8080\"", ":0\"").replace(":9090\"", ":0\"");
        fs::write(self.directory.join(name), text).expect("the page has made its directory");
    }

    /// Runs commands, and returns their output. The one that serves is started.
    fn run(&mut self, commands: &str) -> String {
        if let Some(args) = commands.strip_prefix("pace --config") {
            let args = ["--config"].into_iter().chain(args.split_whitespace());
            self.pace = Some(Setup::new().within(&self.directory).args(args).start());
            return String::new();
        }
        let commands = match &self.pace {
            Some(pace) => commands
                .replace("localhost:8080", &pace.address().to_string())
                .replace("localhost:9090", &pace.admin_address().to_string()),
            None => commands.to_owned(),
        };
        let path = env::var("PATH").expect("there are programs");
        // A command that waits in vain must fail, and not wait for ever.
        let output = Command::new("timeout")
            .args(["600", "sh", "-ec", &commands])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .env("PATH", format!("{}:{path}", self.bin.display()))
            .env("CARGO_TARGET_DIR", root().join("target/wasm"))
            .env("CARGO_NET_OFFLINE", "true")
            .output()
            .expect("there is a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{commands}: {}\n{stderr}", output.status);
        if let Some((_, rest)) = commands.split_once("\ncd ") {
            self.directory.push(rest.lines().next().unwrap_or_default());
        }
        String::from_utf8(output.stdout).expect("it prints text")
    }
}
