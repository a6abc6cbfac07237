//! The inputs of a download.

use std::path::{Path, PathBuf};

use crate::event::{Event, Observer};
use crate::provision::Workspace;

/// The download's name, without version and suffix.
pub(super) const NAME: &str = "dmus";

/// The level of zstd by which a download is smallest, before levels need more memory to unpack.
pub const SMALLEST: i32 = 19;

/// A file that the command line makes: a manual page, or completions.
#[derive(Debug)]
pub struct Document {
    /// Its path below the prefix.
    pub path: PathBuf,
    /// Its content.
    pub content: Vec<u8>,
}

/// The inputs of a download.
pub struct Dist<'a> {
    /// The checkout.
    pub workspace: &'a Workspace,
    /// The folder in which it appears.
    pub output: &'a Path,
    /// What the command line knows of itself: manual pages and completions.
    pub documents: &'a [Document],
    /// Whether to make the Debian package, too.
    pub deb: bool,
    /// The level of zstd, from 1 (quick) to [`SMALLEST`].
    pub level: i32,
    /// Receives notes of the progress.
    pub observer: &'a dyn Observer,
}

impl Dist<'_> {
    /// Notes the progress.
    pub(super) fn note(&self, text: &str) {
        self.observer.event(&Event::Note { text: text.into() });
    }
}
