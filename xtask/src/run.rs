//! `cargo xtask run`: starts a proxy in front of two backends, to try things with.

use crate::cargo::{self, Profile};
use crate::plugins::{self, Which};
use crate::process::Owned;
use crate::{demo, plan::Plan, prerequisites};
use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CONFIG: &str = "config/proxy.toml";

/// The ports of the demo backends, which `CONFIG` names.
const BACKEND_PORTS: &[u16] = &[8000, 8001];

/// The longest time until `pace` serves.
const START_LIMIT: Duration = Duration::from_secs(30);

/// More than `pace` gives its requests to finish, with its default grace period of 10 s.
const END_LIMIT: Duration = Duration::from_secs(15);

const LOOK_INTERVAL: Duration = Duration::from_millis(50);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address of the proxy, in place of the one in config/proxy.toml
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// A port on 127.0.0.1 for a demo backend; give it once for each backend [default: 8000 and 8001]
    #[arg(long = "backend-port", value_name = "PORT")]
    backend_ports: Vec<u16>,

    /// The profile of the proxy: quick is for trying, release is the one that users run
    #[arg(long, value_enum, default_value_t = Profile::Quick)]
    profile: Profile,

    /// Short for --profile release
    #[arg(long, conflicts_with = "profile")]
    release: bool,
}

/// Installs, builds and starts everything needed, and serves until a signal comes.
pub(crate) fn run(args: &Args) -> Result<()> {
    prerequisites::ensure()?;

    // The check comes before the build, which takes minutes: a port in use should be reported at once.
    let listen = free_address(args.listen)?;
    let overridden = !args.backend_ports.is_empty();
    let ports = if overridden {
        &args.backend_ports
    } else {
        BACKEND_PORTS
    };
    let backends = ports
        .iter()
        .map(|port| backend(*port))
        .collect::<Result<Vec<_>>>()?;

    let profile = if args.release {
        Profile::Release
    } else {
        args.profile
    };
    let mut plan = Plan::of(profile);
    plan.tell();
    plan.step(|| plugins::build(Which::Defaults, profile))?;
    let mut command = Command::new(plan.step(|| cargo::build_pace(profile))?);
    command
        .current_dir(cargo::root())
        .args(["run", "--config", CONFIG]);
    if args.listen.is_some() {
        command.args(["--listen", &listen.to_string()]);
    }
    let mut urls = Vec::new();
    for (number, listener) in (1..).zip(backends) {
        urls.push(format!("http://{}", listener.local_addr()?));
        demo::serve(listener, number)?;
    }
    if overridden {
        command.args(urls.iter().flat_map(|url| ["--backend", url]));
    }
    // Pace removes the file when it ends.
    let ready_file = env::temp_dir().join(format!("pace-demo-{}", std::process::id()));
    command.arg("--ready-file").arg(&ready_file);
    serve(&mut command, &ready_file, &invitation(listen, &urls))
}

/// Runs `pace` until it ends, which is an error, or until a signal asks for the end.
fn serve(command: &mut Command, ready_file: &Path, invitation: &str) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut pace = Owned::spawn(command)?;
    let deadline = Instant::now() + START_LIMIT;
    let mut ready = false;
    while !stop.load(Ordering::Relaxed) {
        if let Some(status) = pace.0.try_wait()? {
            bail!("pace ended ({status})");
        }
        if !ready && ready_file.exists() {
            ready = true;
            println!("{invitation}");
        }
        if !ready && Instant::now() > deadline {
            bail!("pace does not serve after {} s", START_LIMIT.as_secs());
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    println!("Stopping.");
    pace.end(END_LIMIT)?;
    Ok(())
}

/// The address on which the proxy will listen, after checking that it can.
fn free_address(wanted: Option<SocketAddr>) -> Result<SocketAddr> {
    let address = match wanted {
        Some(address) => address,
        None => configured_listen(&fs::read_to_string(cargo::root().join(CONFIG))?)?,
    };
    Ok(bind(address, "the proxy", "--listen")?.local_addr()?)
}

/// Reads the address from a configuration for `pace`: the first key of this name.
fn configured_listen(config: &str) -> Result<SocketAddr> {
    let mut lines = config.lines();
    let value = lines.find_map(|line| line.strip_prefix("listen = \"")?.split('"').next());
    let listen = value.with_context(|| format!("{CONFIG} has no [server] listen"))?;
    listen
        .parse()
        .with_context(|| format!("{CONFIG}: [server] listen is not an address: {listen}"))
}

fn backend(port: u16) -> Result<TcpListener> {
    bind(
        (Ipv4Addr::LOCALHOST, port).into(),
        "a demo backend",
        "--backend-port",
    )
}

fn bind(address: SocketAddr, who: &str, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow::anyhow!(
                "port {} is in use, {who} cannot listen on {address}: choose another with {flag}",
                address.port()
            )
        }
        _ => anyhow::anyhow!("{who} cannot listen on {address}: {error}"),
    })
}

/// An address at which a listener can be reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn invitation(listen: SocketAddr, backends: &[String]) -> String {
    let url = format!("http://{}", reachable(listen));
    let backends = backends.join(" and ");
    format!(
        "
Pace listens on {listen}, in front of the demo backends {backends}. Try:

    curl -i {url}/
        Again and again: the backends take turns (X-Backend).

    for i in $(seq 120); do curl -s -o /dev/null -w '%{{http_code}}\\n' {url}/; done | sort | uniq -c
        A client has 100 requests a minute; the rest is answered with 429.

    curl -s {url}/metrics
        Counts and durations for Prometheus.

RUST_LOG=info before the command logs every request. Ctrl-C stops everything.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_address_is_read_from_the_configuration() {
        let config = fs::read_to_string(cargo::root().join(CONFIG)).expect("it is there");
        let address = configured_listen(&config).expect("it is complete");
        assert_eq!(address, "0.0.0.0:8080".parse().expect("this is an address"));
        let error = configured_listen("[server]\nworkers = 1\n").unwrap_err();
        assert_eq!(error.to_string(), "config/proxy.toml has no [server] listen");
        assert!(configured_listen("[server]\nlisten = \"here\"\n").is_err());
    }

    #[test]
    fn wildcard_address_is_reached_through_loopback() {
        let of = |address: &str| reachable(address.parse().expect("this is an address")).to_string();
        assert_eq!(of("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(of("[::]:80"), "[::1]:80");
        assert_eq!(of("192.0.2.7:80"), "192.0.2.7:80");
    }

    #[test]
    fn port_in_use_is_named() {
        let taken = backend(0).and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, _listener) = taken.expect("some port is free");
        let error = backend(port).unwrap_err().to_string();
        assert!(error.starts_with(&format!("port {port} is in use")), "{error}");
    }
}
