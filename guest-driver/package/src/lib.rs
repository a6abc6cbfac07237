//! Driver packages for Windows, made and checked on any system.
//!
//! A package is a folder with an INF, the files that it installs, and a catalogue: a signed list of the hashes of all of them. Windows
//! installs a driver only when each file's hash is in the catalogue and the catalogue's signer is trusted.
//!
//! * [`HashedFile`] has a file's hashes as a catalogue holds them: of a driver image what its signature does not change, of any
//!   other file all its bytes.
//! * [`Catalog`] is the list; [`Catalog::to_der`] writes it, [`SignedCatalog::read`] reads one that anybody has made.
//! * [`Signer`] signs catalogues and images, with a test certificate ([`TestAuthority`]) or one that a user has.
//! * [`FolderVerdict`] compares a folder with its catalogue, and says what each Windows would say.
//!
//! Formats: RFC 2315 (PKCS #7), RFC 5280 (certificates), Microsoft's "Windows Authenticode Portable Executable Signature Format"; of
//! catalogues what public makers of them write, and a catalogue of Microsoft's own that [`Catalog`] rebuilds byte for byte.

mod authority;
mod build;
mod catalog;
mod error;
mod file;
mod image;
pub mod inf;
mod oid;
mod order;
mod signed;
mod signer;
mod systems;
mod verify;
mod windows;

pub use authority::TestAuthority;
pub use build::Package;
pub use catalog::{Catalog, Kind, Member, NameValue, Version};
pub use error::PackageError;
pub use file::HashedFile;
pub use image::Image;
pub use signer::{Signer, unsigned_catalog, without_signature};
pub use systems::{Architecture, Systems};
pub use verify::{FileState, FileVerdict, FolderVerdict, SignatureVerdict, SignedCatalog};
pub use windows::{Windows, WindowsVerdict};
