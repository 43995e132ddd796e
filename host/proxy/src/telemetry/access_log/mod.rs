//! The access log: a line for each request.
//!
//! ```text
//! worker ──▶ notes of a request ──▶ queue: bounded ──▶ a thread: formats, writes ──▶ file, standard output
//!                                   or dropped, and counted
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `value` | finds the value of a field in the notes |
//! | `json`, `text` | write a line in each form |
//! | `output` | the file or standard output; opens files again |
//! | `writer` | the thread |

mod json;
mod output;
mod text;
mod value;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use log::{Level, log_enabled};
use pace_config::telemetry::{self, LogField, LogFormat};

pub(super) use self::json::string as json_string;
use self::output::Output;
pub use self::output::reopen_files;
pub(super) use self::value::protocol;
pub use self::writer::{DROPPED, flush};
use super::notes::Notes;

/// The target of the lines in the log of the process, for `RUST_LOG`.
const TARGET: &str = "pace::access";

/// An access log: which requests have a line, how it looks, and where it goes.
pub struct AccessLog {
    settings: telemetry::AccessLog,
    /// Where lines go; `None`: into the log of the process.
    output: Option<Arc<Output>>,
}

/// The reason why an access log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened.
    #[error("[access_log] file: cannot open {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// No thread could be started.
    #[error("[access_log]: cannot start its thread: {0}")]
    Thread(io::Error),
}

impl AccessLog {
    /// Opens the log of a configuration. Without one, lines go into the log of the process, if `RUST_LOG` asks for them there.
    /// A file that `before` has open stays open.
    pub fn open(
        settings: Option<&telemetry::AccessLog>,
        before: Option<&Arc<AccessLog>>,
    ) -> Result<Option<Arc<AccessLog>>, OpenError> {
        let log = match settings {
            Some(settings) => {
                let output = match before.and_then(|before| before.output.as_ref()) {
                    Some(same) if same.path() == settings.file.as_deref() => Arc::clone(same),
                    _ => Output::open(settings.file.as_deref())?,
                };
                AccessLog {
                    settings: settings.clone(),
                    output: Some(output),
                }
            }
            None if log_enabled!(target: TARGET, Level::Info) => AccessLog {
                settings: of_process(),
                output: None,
            },
            None => return Ok(None),
        };
        writer::start().map_err(OpenError::Thread)?;
        Ok(Some(Arc::new(log)))
    }

    /// Whether a file could be opened, as far as that can be said without making one.
    pub(super) fn check(settings: &telemetry::AccessLog) -> Result<(), OpenError> {
        match &settings.file {
            Some(path) if path.exists() => Output::open(Some(path)).map(drop),
            Some(path) => {
                let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let found = directory.map_or(Ok(()), |directory| directory.metadata().map(drop));
                found.map_err(|error| OpenError::File {
                    path: path.clone(),
                    error,
                })
            }
            None => Ok(()),
        }
    }

    /// Whether a request has a line, by chance.
    pub(super) fn draws(&self) -> bool {
        let one_in = self.settings.sample_one_in;
        one_in == 1 || fastrand::u32(..one_in) == 0
    }

    /// Whether requests that were not drawn may have a line, too.
    pub(super) fn has_exceptions(&self) -> bool {
        !self.settings.always.is_empty()
    }

    /// Whether a request with this status has a line.
    pub(super) fn wants(&self, is_drawn: bool, status: u16) -> bool {
        (is_drawn && self.settings.statuses.contains(status)) || self.settings.always.contains(status)
    }

    /// Whether lines have this field.
    pub fn has(&self, field: LogField) -> bool {
        self.settings.fields.contains(&field)
    }
}

/// Hands a request that is over to the thread that writes its line, if it has one.
pub fn tell(notes: &Arc<Notes>, status: u16) {
    if notes.has_line(status) {
        writer::add(notes);
    }
}

/// The lines in the log of the process, which has the time of each itself.
fn of_process() -> telemetry::AccessLog {
    let fields = LogField::ALL.iter().copied();
    let fields = fields.filter(|field| *field != LogField::Time);
    telemetry::AccessLog::of_all(LogFormat::Text, fields.collect())
}
