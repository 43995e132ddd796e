/// The plugins that are part of the binary: `builtin:NAME`. They are named here and nowhere else; what builds them and
/// what embeds them has this file too.
pub const BUILTINS: [&str; 3] = ["rate-limiter", "round-robin", "header-injection"];
