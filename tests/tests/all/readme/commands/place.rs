//! The directory in which the commands run, and its content.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pace_tests::root;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// The ports that the page uses.
const PORTS: [u16; 7] = [8000, 8001, 8009, 8080, 8081, 8082, 9090];

/// The target that plugins are compiled to.
const TARGET: &str = "wasm32-unknown-unknown";

/// The package name of the page's plugin in this test. Builds in `target/wasm` have the name of their
/// package, and the plugin of docs/plugins.md has the name that is on the page.
const PACKAGE: &str = "api-key-of-readme";

/// The time limit of a command: long enough to compile a plugin with all its crates.
const DEADLINE_SECONDS: &str = "600";

pub(super) struct Place {
    directory: TempDir,
    /// A reserved port for each of those on the page.
    ports: Vec<Reserved>,
}

impl Place {
    pub(super) fn new() -> Place {
        let has_curl = Command::new("curl").arg("--version").output().is_ok();
        assert!(
            has_curl,
            "the commands of README.md need curl: apt-get install curl"
        );
        Place {
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
            ports: PORTS.map(|_| Reserved::new()).into(),
        }
    }

    /// Replaces the parts of a text of the page that differ here.
    pub(super) fn substitute(&self, text: &str) -> String {
        let run = format!(
            "cargo xtask run --profile dev --listen 127.0.0.1:{} --backend-port {} --backend-port {}",
            self.port(8080),
            self.port(8000),
            self.port(8001)
        );
        let mut changes = vec![
            ("cargo xtask run", run),
            ("cargo xtask test", "cargo xtask test --help".to_owned()),
            ("target/quick/pace", text_of(&program())),
            (
                "\"target/wasm32",
                format!("\"{}", text_of(&target().join("wasm32"))),
            ),
            ("../api-key/target/wasm32", text_of(&target().join("wasm32"))),
            ("../pace/plugins/sdk", text_of(&root().join("plugins/sdk"))),
            ("../api-key", text_of(&self.directory.path().join("api-key"))),
            (
                "[package]\nname = \"api-key\"",
                format!("[package]\nname = \"{PACKAGE}\""),
            ),
            ("/api_key.wasm", format!("/{}.wasm", PACKAGE.replace('-', "_"))),
            ("0.0.0.0:", "127.0.0.1:".to_owned()),
        ];
        let on_page = PORTS.map(|port| format!(":{port}"));
        changes.extend(
            (on_page.iter().zip(&self.ports)).map(|(port, here)| (port.as_str(), format!(":{}", here.port))),
        );
        let change = |text: String, (from, to): (&str, String)| text.replace(from, &to);
        changes.into_iter().fold(text.to_owned(), change)
    }

    /// Writes a file of the page.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = PathBuf::from(self.substitute(name));
        fs::write(&path, self.substitute(text)).expect("the page has made its directory");
        if path.ends_with("Cargo.toml") {
            let versions = path.with_extension("lock");
            fs::copy(root().join("Cargo.lock"), versions).expect("the directory is writable");
        }
    }

    /// Whether a command builds for wasm.
    pub(super) fn builds(command: &str) -> bool {
        command.contains("--target wasm32")
    }

    /// Whether this is the way to build for wasm that works on this machine.
    pub(super) fn works_here(&self, command: &str) -> bool {
        command.contains("/usr/bin/cargo") != has_target()
    }

    /// A shell that runs a command.
    pub(super) fn shell(&self, command: &str) -> Command {
        Place::with_shell(Command::new("sh"), command)
    }

    fn with_shell(mut shell: Command, command: &str) -> Command {
        shell
            .args(["-c", command])
            .current_dir(root())
            .stdin(Stdio::null());
        // cargo's variables are about this test, and would have everything compiled again.
        let of_this_test = ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_"];
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if of_this_test.iter().any(|prefix| name.starts_with(prefix)) {
                shell.env_remove(&*name);
            }
        }
        for name in ["CARGO", "LD_LIBRARY_PATH", "RUST_LOG"] {
            shell.env_remove(name);
        }
        if Place::builds(command) {
            shell
                .env("CARGO_TARGET_DIR", target())
                .env("CARGO_NET_OFFLINE", "true");
        }
        shell
    }

    /// Runs commands to their end, which must be a success, and returns their output.
    pub(super) fn run(&self, command: &str) -> String {
        // A command that waits in vain must fail, and not wait for ever.
        let mut shell = Command::new("timeout");
        shell.args([DEADLINE_SECONDS, "sh"]);
        let output = Place::with_shell(shell, command)
            .output()
            .expect("there is a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {}\n{stderr}", output.status);
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// A file for a server's output.
    pub(super) fn log(&self) -> PathBuf {
        let number = fs::read_dir(self.directory.path()).map_or(0, Iterator::count);
        self.directory.path().join(format!("{number}.log"))
    }

    /// Whether one of the ports has a listener.
    pub(super) fn has_listeners(&self) -> bool {
        let listens = |port: &Reserved| TcpStream::connect((Ipv4Addr::LOCALHOST, port.port)).is_ok();
        self.ports.iter().any(listens)
    }

    /// Removes the build of the plugin from `target/wasm`: its path is another one each time.
    pub(super) fn clean(&self) {
        let manifest = self.directory.path().join("api-key/Cargo.toml");
        let clean =
            format!("cargo clean --quiet --release --target {TARGET} --package {PACKAGE} --manifest-path");
        self.run(&format!("{clean} {}", text_of(&manifest)));
    }

    fn port(&self, on_page: u16) -> u16 {
        let index = PORTS.iter().position(|port| *port == on_page);
        self.ports[index.expect("the port is one of the page's")].port
    }
}

/// A port that is kept from other processes, and has no listener unless a command starts one.
struct Reserved {
    port: u16,
    _socket: Socket,
}

impl Reserved {
    fn new() -> Reserved {
        let reserve = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
            Ok((socket.local_addr()?, socket))
        };
        let (address, socket): (_, Socket) =
            reserve().unwrap_or_else(|e: std::io::Error| panic!("no port: {e}"));
        let address = address.as_socket().expect("it is an IPv4 address");
        Reserved {
            port: address.port(),
            _socket: socket,
        }
    }
}

/// The directory in which plugins are compiled.
fn target() -> PathBuf {
    root().join("target/wasm")
}

/// The program that the other tests use.
fn program() -> PathBuf {
    let beside = || {
        env::current_exe()
            .ok()?
            .ancestors()
            .nth(2)
            .map(|directory| directory.join("pace"))
    };
    let named = env::var_os("PACE_BIN").map(PathBuf::from);
    named.or_else(beside).expect("the test has a path")
}

/// Whether the Rust in use has the standard library for plugins, as `cargo xtask plugins` finds out.
fn has_target() -> bool {
    let print = ["--print", "target-libdir", "--target", TARGET];
    let output = Command::new("rustc")
        .args(print)
        .output()
        .expect("there is a Rust");
    let directory = String::from_utf8(output.stdout).expect("it is a path");
    let files = fs::read_dir(directory.trim()).into_iter().flatten().flatten();
    files
        .into_iter()
        .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("paths of tests are text").to_owned()
}
