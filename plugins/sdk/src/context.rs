//! Values that the hooks of one request leave for each other.
//!
//! Hooks of one request may run in different instances, so a fact for a later hook goes here and not into a field of the
//! plugin's type:
//!
//! ```no_run
//! use pace_plugin::context;
//!
//! # fn example() -> Result<(), pace_plugin::EditError> {
//! context::set("tenant", b"acme")?;
//! // In a later hook, of this plugin or another:
//! let own = context::get("tenant");
//! let of_other = context::get_of("jwt", "sub");
//! # Ok(())
//! # }
//! ```

use crate::EditError;
use crate::bindings::imports::pace::plugin::context as host;

/// Set a value of this plugin.
///
/// # Errors
///
/// [`EditError::InvalidName`] unless the name has 1 to 64 characters out of `a-z`, `0-9`, `.`, `_` and `-`;
/// [`EditError::TooLarge`] if names and values of this plugin would have more than 4 KiB on this request.
///
/// ```no_run
/// # fn example() -> Result<(), pace_plugin::EditError> {
/// pace_plugin::context::set("tenant", "acme")
/// # }
/// ```
pub fn set(name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
    Ok(host::set(name, value.as_ref())?)
}

/// The value that this plugin has set.
///
/// ```no_run
/// let tenant = pace_plugin::context::get("tenant");
/// ```
pub fn get(name: &str) -> Option<Vec<u8>> {
    host::get(name)
}

/// The value that another plugin has set. `plugin` is its name in the operator's configuration, so let your own
/// configuration say it.
///
/// ```no_run
/// let subject = pace_plugin::context::get_of("jwt", "sub");
/// ```
pub fn get_of(plugin: &str, name: &str) -> Option<Vec<u8>> {
    host::get_of(plugin, name)
}

/// Remove a value of this plugin. Returns whether there was one.
///
/// ```no_run
/// let was_there = pace_plugin::context::remove("tenant");
/// ```
pub fn remove(name: &str) -> bool {
    host::remove(name)
}
