//! Upgraded connections to a backend that echoes, byte by byte.

use super::backends::ID;
use super::exchange::World;
use super::ledger::{Id, Kind, Ledger, Outcome};
use super::random::Random;
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The path where requests are upgraded.
pub(crate) const PATH: &str = "/tunnel";

/// Tunnels at the same time.
const TUNNELS: u64 = 3;

/// Messages in each tunnel before it ends.
const MESSAGES: u64 = 25;
const MAX_MESSAGE: u64 = 48 << 10;

/// The pause between two messages.
const PAUSE: Duration = Duration::from_millis(10);

/// How long anything in a tunnel may take.
const LIMIT: Duration = Duration::from_secs(20);

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// Starts a backend that upgrades every request and echoes. It serves as long as the process lives.
pub(crate) fn start(ledger: &Arc<Ledger>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let ledger = Arc::clone(ledger);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ledger = Arc::clone(&ledger);
            // The client at the other end notices failures.
            thread::spawn(move || echo(stream, &ledger));
        }
    });
    Ok(address)
}

fn echo(stream: TcpStream, ledger: &Ledger) -> Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    let mut line = String::new();
    while from.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.trim_end().split_once(": ")
            && name.eq_ignore_ascii_case(ID)
        {
            ledger.arrived(value.parse()?);
        }
        line.clear();
    }
    to.write_all(SWITCH)?;
    std::io::copy(&mut from, &mut to)?;
    Ok(to.shutdown(Shutdown::Write)?)
}

/// Runs several tunnels beside each other, one after the other, until told to stop.
pub(crate) fn tunnels(world: &World, stop: &AtomicBool, seed: u64) {
    thread::scope(|scope| {
        for number in 0..TUNNELS {
            scope.spawn(move || {
                let mut random = Random::new(seed, number);
                while !stop.load(Ordering::Relaxed) {
                    let id = world.ledger.issue(Kind::Post);
                    let outcome = match tunnel(world.address, id, &mut random) {
                        Ok(()) => Outcome::Answered,
                        Err(error) => Outcome::Failed(format!("{PATH} {error:#}")),
                    };
                    world.ledger.settle(id, outcome);
                }
            });
        }
    });
}

fn tunnel(address: SocketAddr, id: Id, random: &mut Random) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // Bytes sent before the answer has come belong to the upgraded protocol behind it.
    let early = b"early";
    let head = format!(
        "GET {PATH} HTTP/1.1\r\nHost: soak\r\n{ID}: {id}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), early].concat())?;
    let mut from = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    from.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 101 "), "was answered with {line:?}");
    while line.trim_end() != "" {
        line.clear();
        ensure!(from.read_line(&mut line)? > 0, "the head has no end");
    }
    expect(&mut from, early)?;
    for _ in 0..MESSAGES {
        let message: Vec<u8> = (0..=random.below(MAX_MESSAGE))
            .map(|_| random.next() as u8)
            .collect();
        stream.write_all(&message).context("cannot send")?;
        expect(&mut from, &message)?;
        thread::sleep(PAUSE);
    }
    // One direction of a connection may end before the other.
    stream.shutdown(Shutdown::Write)?;
    let mut rest = Vec::new();
    from.read_to_end(&mut rest).context("there is no end")?;
    ensure!(
        rest.is_empty(),
        "the stream has {} bytes behind its end",
        rest.len()
    );
    Ok(())
}

fn expect(from: &mut impl Read, message: &[u8]) -> Result<()> {
    let mut heard = vec![0; message.len()];
    from.read_exact(&mut heard).context("the stream ends early")?;
    ensure!(heard == message, "the stream has other bytes");
    Ok(())
}
