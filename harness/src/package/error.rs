//! Why a package was not made or read.

use std::path::PathBuf;

use driver_package::PackageError;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits;

/// Why a package was not made or read.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A part of the package cannot be used.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A folder does not have one catalogue.
    #[error("{} has {count} catalogues: which is meant is not said", folder.display())]
    Catalogs {
        /// The folder.
        folder: PathBuf,
        /// How many it has.
        count: usize,
    },
    /// A certificate makes signatures that Windows refuses.
    #[error("no Windows takes a signature of {name}: {faults}")]
    Signer {
        /// Its subject.
        name: String,
        /// What is wrong.
        faults: String,
    },
    /// The folder of the test certificate has some of its files.
    #[error("{} has no {missing}: the test certificate is not whole", folder.display())]
    HalfSigner {
        /// The folder.
        folder: PathBuf,
        /// The file that it lacks.
        missing: String,
    },
    /// There is no folder for the test certificate.
    #[error("there is no folder for the test certificate: neither XDG_DATA_HOME nor HOME names one")]
    NoHome,
}

impl Diagnosed for PackError {
    fn class(&self) -> Class {
        match self {
            Self::File(error) => error.class(),
            Self::Package(PackageError::File { source, .. }) if limits::of_error(source).is_some() => Class::Host,
            Self::Package(_) | Self::Catalogs { .. } | Self::Signer { .. } => Class::BadInput,
            Self::HalfSigner { .. } | Self::NoHome => Class::Host,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::File(error) => error.remedy(),
            Self::Package(PackageError::Inf { fault, .. }) => {
                Some(format!("correct the INF as the page \"{}\" says", fault.rule))
            }
            Self::Package(PackageError::Package { .. }) => Some("see `cat build --help`".into()),
            Self::Package(PackageError::Key { .. }) => {
                Some("name a certificate by --cert and its RSA key by --key, both PEM or DER; or neither, for a test certificate".into())
            }
            Self::Signer { .. } => Some("sign with a certificate that is valid now, may not issue others, and is for signing code".into()),
            Self::Package(_) => None,
            Self::Catalogs { count: 0, .. } => Some("make one: `cat build FOLDER`".into()),
            Self::Catalogs { .. } => Some("name the catalogue's file".into()),
            Self::HalfSigner { .. } => {
                Some("put it back from where it was copied; or remove the folder, and have the guests trust a new one".into())
            }
            Self::NoHome => Some("set HOME, or name a certificate by --cert and --key".into()),
        }
    }
}
