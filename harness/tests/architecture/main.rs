//! Checks that what may import what is as `ARCHITECTURE.md` says: which crates know which, that no files import each
//! other in a circle, and that the card's core knows no transport.

mod circles;
mod crates;
mod source;
mod transport;

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

/// Returns the checkout's root.
fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the harness is a folder of the checkout").to_owned()
}

/// Returns cargo's description of the workspace.
fn workspace() -> Metadata {
    let manifest = checkout().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo describes the workspace")
}
