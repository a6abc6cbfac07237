//! The import census: how much of public lists of functions this guest has. The lists are the files in `imports/`, a
//! name a line, each with its source: what a module exports (`imports/modules/`), and what a header declares or a sample
//! calls. What is counted are the declarations in this crate's sources.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use super::modules::{self, DRMK, HAL, KERNEL, KS, PORTCLS, WDFLDR, WMILIB, WPP_RECORDER};

/// Most names of a list whose missing ones are printed; a longer one is covered by the lists of headers.
const PRINTED_MAX: usize = 300;

struct List {
    name: String,
    source: String,
    functions: BTreeSet<String>,
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads the lists of a folder.
fn lists(at: &str) -> Vec<List> {
    let entries = fs::read_dir(folder().join(at)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let (comments, names): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
        let comments = comments.iter().map(|line| line.trim_start_matches(['#', ' ']));
        List {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            source: comments.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "),
            functions: names.into_iter().map(String::from).collect(),
        }
    };
    files.iter().map(|path| read(path)).collect()
}

/// Returns the folders of this crate's sources that declare what a module exports.
fn sources(module: &str) -> &'static [&'static str] {
    match module {
        KERNEL | HAL => &["ke", "ex", "io", "mm", "po", "rtl", "exports"],
        KS => &["ks"],
        PORTCLS => &["portcls"],
        DRMK => &["drmk"],
        WMILIB => &["wmilib"],
        WDFLDR => &["wdfldr"],
        WPP_RECORDER => &["wpp_recorder"],
        _ => &[],
    }
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

/// Returns what the sources in these folders declare.
fn declared(folders: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<_> = folders.iter().map(|name| folder().join("src").join(name)).collect();
    folders.retain(|path| path.is_dir());
    while let Some(at) = folders.pop() {
        for path in fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with(file!().rsplit('/').next().unwrap())
            {
                exported_in(&fs::read_to_string(path).unwrap(), &mut names);
            }
        }
    }
    names
}

/// Returns what a module exports: what is declared for it and in its list.
fn exported_by(module: &List) -> BTreeSet<String> {
    declared(sources(&module.name)).intersection(&module.functions).cloned().collect()
}

/// A list and what of it this guest has.
struct Counted {
    list: List,
    has: BTreeSet<String>,
}

impl Counted {
    fn missing(&self) -> Vec<&str> {
        self.list.functions.difference(&self.has).map(String::as_str).collect()
    }

    fn row(&self) -> String {
        let List { name, source, functions } = &self.list;
        std::format!("| `{name}` | {} / {} | {source} |\n", self.has.len(), functions.len())
    }
}

/// Returns the census: by module, and by header or sample.
fn census() -> (Vec<Counted>, Vec<Counted>) {
    let count = |list: List| Counted { has: exported_by(&list), list };
    let modules: Vec<_> = lists("imports/modules").into_iter().map(count).collect();
    let exported: BTreeSet<String> = modules.iter().flat_map(|module| module.has.iter().cloned()).collect();
    let headers = lists("imports").into_iter().map(|list| {
        let has = exported.intersection(&list.functions).cloned().collect();
        Counted { list, has }
    });
    (modules, headers.collect())
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

fn document(modules: &[Counted], headers: &[Counted]) -> String {
    let mut text = String::from(
        "# What drivers can import, counted\n\n\
         How much of public lists of functions this guest has. The lists are in `imports/`, each with its source. A function is\n\
         exported by the modules whose list names it, as on Windows; an import that is not here is named before a driver runs.\n\
         This file is made by `UPDATE_EXPORTS=1 cargo test -p nt-host`; a test says when a function that it counts is gone.\n\n\
         ## By module\n\n| module | exported / public | source |\n|---|---|---|\n",
    );
    modules.iter().for_each(|module| text.push_str(&module.row()));
    text.push_str("\n## By header or sample\n\n| list | exported / public | source |\n|---|---|---|\n");
    headers.iter().for_each(|header| text.push_str(&header.row()));
    for counted in printed(modules, headers) {
        write!(text, "\n## Not there of `{}`\n\n```text\n{}\n```\n", counted.list.name, wrapped(&counted.missing()))
            .unwrap();
    }
    text
}

/// Returns the lists whose missing functions the document names.
fn printed<'a>(modules: &'a [Counted], headers: &'a [Counted]) -> impl Iterator<Item = &'a Counted> {
    modules.iter().filter(|module| module.list.functions.len() <= PRINTED_MAX).chain(headers)
}

/// Returns how many functions of a list the document says are there.
fn said_to_be_there(document: &str, list: &str) -> Option<usize> {
    let row = document.lines().find_map(|line| line.strip_prefix(&std::format!("| `{list}` | ")))?;
    row.split_once(" / ")?.0.parse().ok()
}

/// Returns what the document says is not there, by list.
fn said_to_be_missing(document: &str, list: &str) -> BTreeSet<String> {
    let section = document.split(&std::format!("## Not there of `{list}`")).nth(1).unwrap_or_default();
    section.split("```").nth(1).unwrap_or_default().split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn every_function_that_is_counted_is_exported() {
    let (modules, headers) = census();
    let path = folder().join("EXPORTS.md");
    if std::env::var_os("UPDATE_EXPORTS").is_some() {
        fs::write(&path, document(&modules, &headers)).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    for Counted { list, has } in modules.iter().chain(&headers) {
        let said = said_to_be_there(&found, &list.name);
        assert!(
            said.is_some_and(|said| said <= has.len()),
            "EXPORTS.md counts {said:?} functions of {} as there, and {} are: UPDATE_EXPORTS=1 cargo test -p nt-host",
            list.name,
            has.len()
        );
    }
    for Counted { list, has } in printed(&modules, &headers) {
        let missing = said_to_be_missing(&found, &list.name);
        let pretended: Vec<_> =
            list.functions.iter().filter(|name| !has.contains(*name) && !missing.contains(*name)).collect();
        assert!(
            pretended.is_empty(),
            "EXPORTS.md counts {pretended:?} as there: UPDATE_EXPORTS=1 cargo test -p nt-host"
        );
    }
}

#[test]
fn every_function_that_is_declared_is_in_a_list_of_its_module() {
    for module in lists("imports/modules") {
        assert!(modules::of(&module.name).is_some(), "no module reads imports/modules/{}.txt", module.name);
        let lists: Vec<&str> = if [KERNEL, HAL].contains(&module.name.as_str()) {
            std::vec![KERNEL, HAL]
        } else {
            std::vec![&*module.name]
        };
        let listed = |name: &String| lists.iter().any(|list| modules::of(list).is_some_and(|list| list.names(name)));
        let unlisted: Vec<_> = declared(sources(&module.name)).into_iter().filter(|name| !listed(name)).collect();
        assert!(
            unlisted.is_empty(),
            "no driver can import {unlisted:?}: name them, with a public source, in imports/modules/{}.txt",
            module.name
        );
    }
}

/// Of the functions that `wdm.h` declares, how many this guest has at least.
const WDM_MIN: usize = 500;

#[test]
fn most_functions_that_wdm_h_declares_are_there() {
    let (_, headers) = census();
    let wdm = headers.iter().find(|header| header.list.name == "wdm").unwrap();
    let (has, of) = (wdm.has.len(), wdm.list.functions.len());
    assert!(has >= WDM_MIN, "{has} of {of}");
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
