//! Files that are no better than what serves: what the proxy must not take, each for a reason of its own.

use super::place::{Place, Way};
use super::random::Random;
use anyhow::Result;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

/// What the proxy must do about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Say why it does not take it, with one of these in what it says.
    Refused(&'static [&'static str]),
    /// Nothing: it is the file that serves.
    Ignored,
    /// Take it, once it is all there.
    Taken,
}

/// Which plugin a file is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One whose file may change.
    Any,
    /// One of them that has no configuration, which would be refused before the rest of it is seen.
    Unconfigured,
    /// The one whose hash is in the configuration.
    Pinned,
}

/// One kind of bad file.
pub(crate) struct Bad {
    pub(crate) name: String,
    pub(crate) expected: Expected,
    pub(crate) target: Target,
    pub(crate) thing: Thing,
}

/// What is put where the file was.
pub(crate) enum Thing {
    /// Something made of a good file's bytes.
    Bytes(Make),
    /// Not an ordinary file, or not ordinarily made; the path is free.
    Made(fn(&Path) -> Result<()>),
    /// The same file with a new time.
    Touched,
    /// A good version, written a byte a millisecond for a while.
    Dripped,
}

/// Makes a bad file of a good one.
pub(crate) type Make = Box<dyn Fn(&[u8], &mut Random) -> Vec<u8> + Send>;

impl Thing {
    /// Puts it there.
    pub(crate) fn put(&self, place: &mut Place, good: &[u8], way: Way, random: &mut Random) -> Result<()> {
        match self {
            Thing::Bytes(make) => place.put(way, &make(good, random)),
            Thing::Made(make) => {
                place.clear()?;
                make(&place.path())
            }
            Thing::Touched => {
                let file = File::options().append(true).open(place.path())?;
                file.set_modified(SystemTime::now())?;
                Ok(())
            }
            Thing::Dripped => place.put(Way::Drip, good),
        }
    }
}
