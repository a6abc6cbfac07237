//! Driver packages: what a Windows installs, signed with a test certificate or one of the user's.

mod check;
mod error;
mod files;
mod make;
mod signers;

pub use check::check;
pub use error::PackError;
pub use make::{Made, build, catalog_of, make, signer_name};
pub use signers::{KeyFiles, Signers, test_folder};
