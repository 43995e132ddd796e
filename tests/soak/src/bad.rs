//! Bad files: what the proxy must not serve from, each kind for a reason of its own.

use super::place::{Place, Way};
use super::random::Random;
use anyhow::Result;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

/// The proxy's expected reaction to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The file is refused, for one of these reasons.
    Refused(&'static [&'static str]),
    /// Nothing happens: the file is the one that serves.
    Ignored,
    /// The file is taken, once it is complete.
    Taken,
}

/// The plugin that a file is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A plugin whose file may change.
    Any,
    /// A plugin whose file may change and that has no configuration, which would be refused before the rest
    /// of the file is seen.
    Unconfigured,
    /// The plugin whose hash is in the configuration.
    Pinned,
}

/// One kind of bad file.
pub(crate) struct Bad {
    pub(crate) name: String,
    pub(crate) expected: Expected,
    pub(crate) target: Target,
    pub(crate) thing: Thing,
}

/// The content of a bad file.
pub(crate) enum Thing {
    /// Bytes made of a good file's bytes.
    Bytes(Make),
    /// Something other than an ordinary file, or made in another way; the path is free.
    Made(fn(&Path) -> Result<()>),
    /// The same file with a new time.
    Touched,
    /// A good version, written a byte a millisecond for a while.
    Dripped,
}

/// Makes a bad file of a good one.
pub(crate) type Make = Box<dyn Fn(&[u8], &mut Random) -> Vec<u8> + Send>;

impl Thing {
    /// Puts the bad file in place.
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
