//! How the user starts this program, for text that tells what to type.

use std::sync::OnceLock;

/// Returns `cargo dmus` where cargo runs this program, as it does in a checkout; else `dmus`.
#[must_use]
pub fn program() -> &'static str {
    static BY_CARGO: OnceLock<bool> = OnceLock::new();
    // Cargo names itself and the package to programs that it runs.
    let by_cargo =
        BY_CARGO.get_or_init(|| ["CARGO", "CARGO_MANIFEST_DIR"].iter().all(|name| std::env::var_os(name).is_some()));
    if *by_cargo { "cargo dmus" } else { "dmus" }
}

/// Returns the command line of a verb, with its options.
#[must_use]
pub fn command(verb_and_options: &str) -> String {
    format!("{} {verb_and_options}", program())
}
