//! The manual of the sandbox: which role may make which call, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::calls::{ANY_THREAD, Allowed};
use super::role::{Reach, Role};

/// Text before the tables.
const HEAD: &str = "# The sandbox's lists

Written by `UPDATE_SANDBOX=1 cargo test -p dmus-card --test sandbox` from `src/sandbox/calls.rs` and `src/sandbox/role.rs`, for
x86-64; on other architectures a call that does the same stands in place of one that does not exist.

A call outside its thread's list ends the card with exit code 71 and a line that names the call and the role.
";

/// Why some roles may make a call, and which.
#[derive(Default)]
struct Shared {
    reasons: BTreeSet<&'static str>,
    roles: Vec<&'static str>,
}

/// Returns the manual as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    text += "\n## Roles\n\n| role | started inside | entries of folders that it may change, with Landlock |\n|---|---|---|\n";
    for role in Role::ALL {
        let starters: Vec<&str> = role.started_by().iter().map(|role| role.name()).collect();
        let reach = match role.reach() {
            Reach::Nothing => "none",
            Reach::Sockets => "removes from the sockets' folders",
            Reach::Outputs => "makes in and removes from the outputs' folders",
        };
        let _ = writeln!(text, "| {} | {} | {reach} |", role.name(), starters.join(", "));
    }
    text += "\n## Calls of every role\n\n| call | only | for |\n|---|---|---|\n";
    for Allowed { call, only, why } in ANY_THREAD {
        let _ = writeln!(text, "| `{call}` | {} | {why} |", only.map_or("", |only| only.text));
    }
    text += "\n## Calls of some roles\n\n| call | only | for | roles |\n|---|---|---|---|\n";
    let mut rows: BTreeMap<(&str, &str), Shared> = BTreeMap::new();
    for role in Role::ALL {
        for allowed in role.allowed().filter(|allowed| !ANY_THREAD.contains(allowed)) {
            let only = allowed.only.map_or("", |only| only.text);
            let shared = rows.entry((allowed.call.name(), only)).or_default();
            shared.reasons.insert(allowed.why);
            if !shared.roles.contains(&role.name()) {
                shared.roles.push(role.name());
            }
        }
    }
    for ((call, only), Shared { reasons, roles }) in rows {
        let reasons: Vec<&str> = reasons.into_iter().collect();
        let _ = writeln!(text, "| `{call}` | {only} | {} | {} |", reasons.join("; "), roles.join(", "));
    }
    text
}
