//! The commands of the page, run in its order, with its files, as a newcomer would.
//!
//! A shell runs them at the root of the repository, as they are written except for
//!
//! - ports, which are free ones, and the directory `../api-key`, which is a temporary one;
//! - `target/quick/pace` and `cargo xtask run`, which are the development build;
//! - `cargo xtask test`, of which this test is a part: it is only asked for its help;
//! - the plugin's build, which uses `target/wasm` and the versions in the `Cargo.lock` of this repository, so
//!   that nothing is downloaded. The page shows two ways to build it, and later says to build it as before:
//!   the test takes the way that works on this machine.
//!
//! A command that serves goes on to the end of the page, and is then sent Ctrl-C's signal. It must end with
//! exit code 0, leave nothing running, and have printed what the page shows.

mod place;
mod server;

use super::page::{Block, Page, is_output};
use place::Place;
use server::Server;

#[test]
fn commands_do_what_the_page_says() {
    let page = Page::read();
    let place = Place::new();
    let mut servers = Vec::new();
    let mut done = 0;
    let mut build: Option<&Block> = None;
    for (index, block) in page.blocks.iter().enumerate() {
        if let Some(name) = block.file() {
            place.write(name, &block.text);
        }
        if block.language != "sh" {
            continue;
        }
        let block = match (Place::builds(&block.text), build) {
            (true, Some(before)) if before.section != block.section => before,
            (true, _) if !place.works_here(&block.text) => continue,
            (true, _) => build.insert(block),
            (false, _) => block,
        };
        let shown = output_of(&page.blocks[index..]).map(|shown| place.substitute(&shown.text));
        let command = place.substitute(&block.text);
        println!("README.md:{}: {command}", block.line);
        if serves(&block.text) {
            servers.push(Server::start(&place, &command, shown.unwrap_or_default()));
        } else {
            let output = place.run(&command);
            assert_shown(block, shown.as_deref(), &output);
        }
        done += 1;
    }
    assert!(done >= 8, "only {done} blocks of commands");

    for server in servers.into_iter().rev() {
        server.stop();
    }
    assert!(!place.has_listeners(), "something still listens");
    place.clean();
}

/// The block in which the page shows the output of the first of these: the next one in its section, if that
/// is text.
fn output_of(blocks: &[Block]) -> Option<&Block> {
    let next = blocks.get(1)?;
    (next.language == "text" && next.section == blocks[0].section).then_some(next)
}

/// Whether a command goes on until it is stopped.
fn serves(command: &str) -> bool {
    command.starts_with("cargo xtask run") || command.starts_with("target/quick/pace --")
}

fn assert_shown(block: &Block, shown: Option<&str>, output: &str) {
    let Some(shown) = shown else { return };
    assert!(
        is_output(&lines(shown), &lines(output)),
        "the commands at README.md:{} do not print\n{shown}\nbut\n{output}",
        block.line
    );
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}
