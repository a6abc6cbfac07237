//! How much of public lists of the kernel's functions this guest has. The lists are the files in `imports/`, a name a
//! line, each with its source; what is counted are the declarations in this crate's sources.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

struct List {
    name: String,
    source: String,
    functions: BTreeSet<String>,
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn lists() -> Vec<List> {
    let mut files: Vec<_> =
        fs::read_dir(folder().join("imports")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let (comments, names): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
        List {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            source: comments.iter().map(|line| line.trim_start_matches(['#', ' '])).collect::<Vec<_>>().join(" "),
            functions: names.into_iter().map(String::from).collect(),
        }
    };
    files.iter().map(|path| read(path)).collect()
}

/// Adds the names that a source file exports: by `export_functions!`, one by one, or in the list of those that are
/// guarded besides.
fn exported_in(text: &str, names: &mut BTreeSet<String>) {
    let identifier =
        |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    for line in text.lines().map(str::trim_start) {
        let rule = line.strip_prefix('[').and_then(|rest| rest.split_once("] fn "));
        if let Some((rule, rest)) = rule
            && rule.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        {
            names.insert(identifier(rest));
        }
    }
    for rest in text.split("Export::new(").skip(1) {
        if let Some(name) = rest.trim_start().strip_prefix('"') {
            names.insert(identifier(name));
        }
    }
}

fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = std::vec![folder().join("src")];
    while let Some(at) = folders.pop() {
        for path in fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                exported_in(&fs::read_to_string(path).unwrap(), &mut names);
            }
        }
    }
    names
}

/// Breaks words into lines.
fn wrapped(words: &[&str]) -> String {
    const WIDTH: usize = 118;
    let mut text = String::new();
    let mut column = 0;
    for word in words {
        if column > 0 && column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
        }
        if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text
}

fn document(lists: &[List], exported: &BTreeSet<String>) -> String {
    let mut text = String::from(
        "# What drivers can import, counted\n\n\
         How much of public lists of functions this guest has. The lists are in `imports/`, each with its source; an import\n\
         that is not here is named before a driver runs. This file is made by `UPDATE_EXPORTS=1 cargo test -p nt-host`; a test\n\
         says when a function that it counts is gone.\n\n\
         | list | what | has | of |\n|---|---|---|---|\n",
    );
    let missing = |list: &List| list.functions.difference(exported).cloned().collect::<Vec<_>>();
    for list in lists {
        let has = list.functions.len() - missing(list).len();
        writeln!(text, "| `{}` | {} | {has} | {} |", list.name, list.source, list.functions.len()).unwrap();
    }
    for list in lists {
        let missing = missing(list);
        let names: Vec<&str> = missing.iter().map(String::as_str).collect();
        write!(text, "\n## Not there of `{}`\n\n```text\n{}\n```\n", list.name, wrapped(&names)).unwrap();
    }
    text
}

/// Returns what the document says is not there, by list.
fn said_to_be_missing(document: &str, list: &str) -> BTreeSet<String> {
    let section = document.split(&std::format!("## Not there of `{list}`")).nth(1).unwrap_or_default();
    section.split("```").nth(1).unwrap_or_default().split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn every_function_that_is_counted_is_exported() {
    let (lists, exported, path) = (lists(), exported(), folder().join("EXPORTS.md"));
    if std::env::var_os("UPDATE_EXPORTS").is_some() {
        fs::write(&path, document(&lists, &exported)).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    for list in &lists {
        assert!(
            found.contains(&std::format!("## Not there of `{}`", list.name)),
            "EXPORTS.md knows no list {}",
            list.name
        );
        let missing = said_to_be_missing(&found, &list.name);
        let pretended: Vec<_> =
            list.functions.iter().filter(|name| !exported.contains(*name) && !missing.contains(*name)).collect();
        assert!(
            pretended.is_empty(),
            "EXPORTS.md counts {pretended:?} as there: UPDATE_EXPORTS=1 cargo test -p nt-host"
        );
    }
}

#[test]
fn declarations_are_found_in_each_of_their_forms() {
    let mut names = BTreeSet::new();
    exported_in(
        "    [DISPATCH] fn KeSetEvent(event: *mut KEVENT) -> i32 {\n\
         /// [ANY] fn NotADeclaration\n\
         Export::new(\"DbgPrint\", variadic as *const ()), Export::new(\n    \"sprintf\", x)\n\
         Export::new(stringify!($name), entry)\n    [a] fn neither() {}\n",
        &mut names,
    );
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["DbgPrint", "KeSetEvent", "sprintf"]);
}
