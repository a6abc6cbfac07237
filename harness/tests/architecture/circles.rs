//! Import circles: files that import each other in a loop.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::source::Modules;
use super::{checkout, workspace};

/// Folders in which no files import each other in a circle. Elsewhere a circle may stay within one folder.
const STRICT: &[&str] = &["device/src", "guest-driver/miniport/src", "harness/src"];

/// The imports between files, each with the paths that lead there.
#[derive(Default)]
struct Imports {
    edges: BTreeMap<(PathBuf, PathBuf), BTreeSet<String>>,
}

impl Imports {
    fn add(&mut self, modules: &Modules) {
        for (from, to, path) in modules.imports() {
            self.edges.entry((from.to_owned(), to.to_owned())).or_default().insert(path);
        }
    }

    /// Returns the sets of files, or of rooms, that import each other in a circle.
    fn circles(&self) -> Vec<BTreeSet<&Path>> {
        let graph =
            DiGraphMap::<&Path, ()>::from_edges(self.edges.keys().map(|(from, to)| (from.as_path(), to.as_path())));
        let circles = tarjan_scc(&graph).into_iter().filter(|files| files.len() > 1);
        circles.map(|files| files.into_iter().collect()).collect()
    }

    /// Describes a circle: its files, and the paths by which each imports another.
    fn describe(&self, circle: &BTreeSet<&Path>) -> String {
        let mut text = format!("{} places import each other in a circle:\n", circle.len());
        for ((from, to), paths) in &self.edges {
            if circle.contains(from.as_path()) && circle.contains(to.as_path()) {
                let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                let _ = writeln!(text, "  {} -> {}: {}", from.display(), to.display(), paths.join(", "));
            }
        }
        text
    }
}

/// Returns the root files of all libraries and programs of the workspace, relative to the checkout.
fn roots() -> Vec<PathBuf> {
    let checkout = checkout().canonicalize().expect("the checkout exists");
    let metadata = workspace();
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    let built = targets.filter(|target| target.is_lib() || target.is_bin() || target.is_cdylib());
    built
        .map(|target| {
            let path = target.src_path.as_std_path();
            path.strip_prefix(&checkout).expect("the workspace's sources are in the checkout").to_owned()
        })
        .collect()
}

/// Returns the folder that a file belongs to. `ring.rs` beside a folder `ring` is the face of that folder.
fn folder(file: &Path) -> PathBuf {
    let inner = file.with_extension("");
    if checkout().join(&inner).is_dir() { inner } else { file.parent().unwrap_or(Path::new("")).to_owned() }
}

/// Returns the room of a file: the folder or file directly below its crate's source folder.
fn room(file: &Path, sources: &Path) -> Option<PathBuf> {
    let first = file.strip_prefix(sources).ok()?.components().next()?;
    Some(sources.join(Path::new(first.as_os_str()).with_extension("")))
}

/// Returns whether the architecture forbids a circle of these files.
fn is_forbidden(circle: &BTreeSet<&Path>) -> bool {
    let folders: BTreeSet<PathBuf> = circle.iter().map(|file| folder(file)).collect();
    folders.len() > 1 || circle.iter().any(|file| STRICT.iter().any(|strict| file.starts_with(strict)))
}

#[test]
fn no_files_import_each_other_in_a_circle_across_folders() {
    let checkout = checkout();
    let mut imports = Imports::default();
    for root in roots() {
        imports.add(&Modules::read(&checkout, &root));
    }
    assert!(imports.edges.len() > 100, "only {} imports are found: the sources are not read", imports.edges.len());
    let forbidden: Vec<String> =
        imports.circles().iter().filter(|circle| is_forbidden(circle)).map(|circle| imports.describe(circle)).collect();
    assert!(forbidden.is_empty(), "{}", forbidden.join("\n"));
}

#[test]
fn no_rooms_of_a_crate_import_each_other_in_a_circle() {
    let checkout = checkout();
    let mut forbidden = Vec::new();
    for root in roots() {
        let sources = root.parent().expect("a file is in a folder");
        let mut files = Imports::default();
        files.add(&Modules::read(&checkout, &root));
        let mut rooms = Imports::default();
        for ((from, to), paths) in files.edges {
            // The root is the face of the crate: it names every room.
            if let (Some(a), Some(b)) = (room(&from, sources), room(&to, sources))
                && a != b
                && ![&from, &to].contains(&&root)
            {
                let paths = paths.iter().map(|path| format!("{path} in {}", from.display()));
                rooms.edges.entry((a, b)).or_default().extend(paths);
            }
        }
        let circles = rooms.circles();
        let across = circles.iter().filter(|circle| circle.iter().any(|room| checkout.join(room).is_dir()));
        forbidden.extend(across.map(|circle| rooms.describe(circle)));
    }
    assert!(forbidden.is_empty(), "rooms are layers, which import only those below:\n{}", forbidden.join("\n"));
}

#[test]
fn finds_a_circle_through_a_renamed_import_a_glob_and_a_macro() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("the file is written");
    write("lib.rs", "mod a; mod b; mod c; mod d; pub use a::One;\n");
    write("a.rs", "use crate::b::Two as Other; pub struct One(Other);\n");
    write("b.rs", "use crate::c::*; pub struct Two(Three);\n");
    write("c.rs", "pub struct Three; pub fn say() -> String { format!(\"{}\", crate::One::NAME) }\n");
    write("d.rs", "use crate::a::One; #[cfg(test)] mod tests { use crate::c::Three; } pub struct Four(One);\n");
    let mut imports = Imports::default();
    imports.add(&Modules::read(folder.path(), Path::new("lib.rs")));
    let circles = imports.circles();
    let expected: BTreeSet<&Path> = ["a.rs", "b.rs", "c.rs"].map(Path::new).into();
    assert_eq!(circles, [expected]);
    let text = imports.describe(&circles[0]);
    assert!(text.contains("c.rs -> a.rs: crate::One::NAME"), "{text}");
}
