//! Walks through `device/pci/AFTERNOON.md` as a new user would: runs every command of it, and finds what it says is printed.
//!
//! Without mingw-w64 or a provisioned QEMU the test is skipped.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use dmus::host::leftovers::Scratch;
use dmus::provision::{Workspace, find_program};

/// The page, from the workspace's root.
const PAGE: &str = "device/pci/AFTERNOON.md";

/// The compiler of the driver.
const COMPILER: &str = "x86_64-w64-mingw32-g++";

/// `cargo dmus` is the program that this test was built with, and the rest of cargo is cargo.
const CARGO: &str = r#"cargo() { if [ "$1" = dmus ]; then shift; "$PROGRAM" "$@"; else command cargo "$@"; fi; }
set -eu
"#;

/// A block of the page: commands, or what the commands before it print.
#[derive(Debug, PartialEq, Eq)]
enum Block<'t> {
    Commands(&'t str),
    Printed(&'t str),
}

/// Returns the blocks of a page.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (language, text) = after.split_once('\n').expect("a block has lines");
        let (text, after) = text.split_once("```").expect("a block has an end");
        match language {
            "sh" => found.push(Block::Commands(text)),
            "text" => found.push(Block::Printed(text)),
            _ => {}
        }
        rest = after;
    }
    found
}

/// Returns the first line of `expected` that is not within a line of `printed`, in this order; `...` stands for anything.
fn missing<'e>(printed: &str, expected: &'e str) -> Option<&'e str> {
    let mut lines = printed.lines();
    expected.lines().find(|wanted| !lines.any(|line| has(line, wanted)))
}

fn has(line: &str, wanted: &str) -> bool {
    let mut rest = line;
    wanted.trim_end().split("...").all(|part| {
        let found = rest.find(part);
        rest = found.map_or("", |at| &rest[at + part.len()..]);
        found.is_some()
    })
}

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let workspace = Workspace::find().expect("the tests run in the checkout");
    let qemu = workspace.target.join("dmus/qemu/qemu-system-x86_64");
    if find_program(Path::new(COMPILER)).is_none() || !qemu.exists() {
        println!("skipped: {COMPILER} or {} is missing", qemu.display());
        return;
    }
    let page = fs::read_to_string(workspace.root.join(PAGE)).expect("the page");
    let work = Scratch::new().expect("a folder");
    let mut printed = String::new();
    let (mut commands, mut outputs) = (0, 0);
    for block in blocks(&page) {
        match block {
            Block::Commands(text) => {
                printed = run(text, &workspace.root, work.path());
                commands += 1;
            }
            Block::Printed(text) => {
                let absent = missing(&printed, text);
                assert_eq!(absent, None, "the page says that this is printed; what was printed:\n{printed}");
                outputs += 1;
            }
        }
    }
    assert!(commands > 8 && outputs > 4, "{commands} blocks of commands and {outputs} of output are found");
}

/// Runs commands as a shell does, and returns what they print. They must succeed.
fn run(commands: &str, root: &Path, work: &Path) -> String {
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!("{CARGO}{commands}")).current_dir(root).stdin(Stdio::null());
    shell.env("DMUS", root).env("WORK", work).env("PROGRAM", env!("CARGO_BIN_EXE_dmus"));
    let done = shell.output().expect("bash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, errors) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{}\n{commands}\n{printed}\n{errors}", done.status);
    printed
}

#[test]
fn reads_blocks_and_finds_lines_with_gaps() {
    let page = "# A\n\n```sh\necho b\n```\n\nthen\n\n```text\nb ... d\n```\n\n```rust\nfn main() {}\n```\n";
    assert_eq!(blocks(page), [Block::Commands("echo b\n"), Block::Printed("b ... d\n")]);
    assert_eq!(missing("a\n  b c d e\n", "b ... d\n"), None);
    assert_eq!(missing("a\n  b c e\n", "b ... d\n"), Some("b ... d"));
    assert_eq!(missing("b\na\n", "a\nb\n"), Some("b"), "in this order");
}
