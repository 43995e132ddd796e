//! The command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use pace_author::PluginCommand;
use pace_config::Overrides;
use pace_sandbox::CompileArgs;

const ABOUT: &str = "A programmable reverse proxy: request policy in sandboxed WebAssembly";

const LONG_ABOUT: &str = "A programmable reverse proxy: request policy in sandboxed WebAssembly.

The shortest start, with the default plugins (rate limit, round robin, headers) and no file:

    pace --backend http://127.0.0.1:8000 --backend http://127.0.0.1:8001

With a file: pace --config config/proxy.toml";

/// The command line of `pace`.
#[derive(Debug, Parser)]
#[command(
    name = "pace",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    args_conflicts_with_subcommands = true,
    after_help = "Log lines go to standard error. RUST_LOG=info adds a line per request, RUST_LOG=warn leaves only \
                  what went wrong.\nSIGTERM lets requests in flight finish, then ends the process."
)]
pub(crate) struct Cli {
    /// The command; without one, `pace` serves.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The arguments of `pace` without a command.
    #[command(flatten)]
    pub(crate) run: ServeArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve (the default)
    Run(ServeArgs),
    /// Check the configuration and load every plugin, without serving
    Check(CheckArgs),
    /// Say which route a request would take, and why not the others
    Route(RouteArgs),
    /// Ask the admin listener of a Pace that serves
    Ctl(CtlArgs),
    /// Write and try plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print the completions of commands and options for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// The directory, which has to be there
        directory: PathBuf,
    },
    /// Compile the plugin on standard input, for another process of this program
    #[command(hide = true)]
    CompilePlugin(CompileArgs),
}

/// The source of the configuration.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file (TOML)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The address where clients connect, in place of the file's `[server] listen` [default without a file:
    /// 127.0.0.1:8080]
    #[arg(short, long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// A backend such as http://127.0.0.1:8000, in place of the file's `[upstreams] backends`; may be repeated
    #[arg(short, long = "backend", value_name = "URL")]
    pub(crate) backends: Vec<String>,
}

impl ConfigArgs {
    /// The options of the command line, which win over the file.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            listen: self.listen.clone(),
            backends: self.backends.clone(),
        }
    }
}

/// The arguments for serving.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// The configuration to serve.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// A file with the addresses that exists while Pace serves: it appears when Pace is ready, and is removed at the
    /// end
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// The arguments of `pace check`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// The configuration to check.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Look no name up, as where there is no DNS: neither those of backends nor those of listeners
    #[arg(long)]
    pub(crate) offline: bool,
}

/// The arguments of `pace route`: a request.
#[derive(Clone, Debug, Args)]
pub(crate) struct RouteArgs {
    /// The configuration
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The method, such as GET
    pub(crate) method: String,
    /// The URL, such as http://example.com/path?query; a path alone is a request without a host
    pub(crate) url: String,
    /// A field of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// The client, for routes that are split by client
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) client: IpAddr,
}

/// The arguments of `pace ctl`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "If the listener wants a token, it is that in PACE_ADMIN_TOKEN, or that of the configuration.\nA listener \
                  with https:// has to show the certificate that the configuration names, or one of an authority in --ca, \
                  or else of one that the system trusts."
)]
pub(crate) struct CtlArgs {
    /// The address of the admin listener, such as 127.0.0.1:9090, https://proxy.example:9090 or unix:/run/pace/admin.sock
    /// [default: that of the configuration, or 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// The configuration that Pace serves with, which has the address, the certificate and the token
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The authorities (PEM) that vouch for a listener with https://
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// What to ask
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

/// The commands of `pace ctl`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// Say whether Pace serves, and how its pools and plugins are
    Status,
    /// List plugins with their generations, calls and failures
    Plugins,
    /// List pools with their backends
    Pools,
    /// List connections of clients by listener, and those to backends by pool
    Connections,
    /// Print the configuration that serves, with its defaults and without secrets
    Config {
        /// As JSON in place of TOML
        #[arg(long)]
        json: bool,
    },
    /// Send a backend nothing new
    Drain(BackendArgs),
    /// End the drain of a backend
    Enable(BackendArgs),
    /// Read the configuration and the plugins again, or one plugin
    Reload {
        /// The plugin
        plugin: Option<String>,
    },
    /// Return to the generation before of a plugin
    Rollback {
        /// The plugin
        plugin: String,
    },
    /// Show what is going on by route, backend and hook, again and again
    Top(TopArgs),
}

/// A backend of a pool.
#[derive(Clone, Debug, Args)]
pub(crate) struct BackendArgs {
    /// The pool
    pub(crate) pool: String,
    /// The address of the backend, as `pace ctl pools` shows it
    pub(crate) backend: String,
}

impl BackendArgs {
    /// The path by which the admin listener does something with the backend.
    pub(crate) fn path(&self, what: &str) -> String {
        format!("/pools/{}/backends/{}/{what}", self.pool, self.backend)
    }
}

/// The arguments of `pace ctl top`.
#[derive(Clone, Debug, Args)]
pub(crate) struct TopArgs {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) interval: f64,
    /// End after so many tables
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u32>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds from 0.1 to 3600".to_owned()),
    }
}
