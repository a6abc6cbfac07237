//! The seam between the card and its transports: the core knows no socket, and no type of a protocol or of its framework.

use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

use super::checkout;

/// The rooms of the card that know no transport.
const CORE: [&str; 6] = ["bus", "queues", "session", "card", "diagnosis", "trace"];

/// Crates of the transports, and modules of the standard library and of others that have sockets.
const FORBIDDEN: [&str; 11] = [
    "transport",
    "vhost",
    "vhost_user_backend",
    "vhost_user_guard",
    "vfio_user",
    "vfio_user_card",
    "vfio_bindings",
    "VringT",
    "UnixStream",
    "UnixListener",
    "net",
];

/// The one module of crate `vfio-user-card` that is of memory, and of no socket: a watch on mapped files that are cut short.
const OF_MEMORY: &str = "sigbus";

/// Names of [`FORBIDDEN`] in the paths of a file, those of `use` declarations and macros included.
#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn look_at(&mut self, name: &str) {
        if FORBIDDEN.contains(&name) {
            self.0.push(name.to_owned());
        }
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        path.segments.iter().for_each(|segment| self.look_at(&segment.ident.to_string()));
        syn::visit::visit_path(self, path);
    }

    fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
        if path.ident == "vfio_user_card" && matches!(&*path.tree, syn::UseTree::Path(next) if next.ident == OF_MEMORY)
        {
            return;
        }
        self.look_at(&path.ident.to_string());
        syn::visit::visit_use_path(self, path);
    }

    fn visit_use_name(&mut self, name: &'ast syn::UseName) {
        self.look_at(&name.ident.to_string());
    }

    fn visit_use_rename(&mut self, rename: &'ast syn::UseRename) {
        self.look_at(&rename.ident.to_string());
    }
}

/// Returns the names of [`FORBIDDEN`] in a source.
fn found(source: &str) -> Vec<String> {
    let mut found = Found::default();
    found.visit_file(&syn::parse_file(source).expect("a source of Rust"));
    found.0
}

/// Returns the sources of a module: its file, and all files in its folder.
fn sources(module: &Path) -> Vec<PathBuf> {
    let mut files = vec![module.with_extension("rs")];
    let mut folders = vec![module.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn the_core_of_the_card_knows_no_socket_and_no_type_of_a_transport() {
    let card = checkout().join("device/src");
    let mut violations = Vec::new();
    let mut read = 0;
    for file in CORE.iter().flat_map(|room| sources(&card.join(room))) {
        let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        read += 1;
        violations.extend(found(&source).iter().map(|name| format!("{} names {name}", file.display())));
    }
    assert!(read > 30, "only {read} files were found: the rooms have moved");
    assert!(violations.is_empty(), "the core knows a transport:\n{}", violations.join("\n"));
}

#[test]
fn finds_a_transport_in_an_import_a_path_and_a_type() {
    assert_eq!(found("use std::os::unix::net::{UnixStream as Socket};"), ["net", "UnixStream"]);
    assert_eq!(found("fn f(v: &dyn vhost_user_backend::VringT<M>) {}"), ["vhost_user_backend", "VringT"]);
    assert_eq!(found("use crate::{bus::Bus, transport::Place};"), ["transport"]);
    assert_eq!(found("use vfio_user_card::{Handle, sigbus};"), ["vfio_user_card"]);
    assert!(found("use vfio_user_card::sigbus::{self, Watch};").is_empty());
    assert!(found("use crate::bus::Virtqueue; fn f() { let transport = 1; }").is_empty());
}
