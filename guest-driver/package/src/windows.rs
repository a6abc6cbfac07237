//! What each Windows asks of a package's signature.
//!
//! From Microsoft's pages on driver signing, code integrity and catalogues, and from `setupapi.h` for the numbers: what a system was
//! seen to do is not here.

use crate::verify::{FileState, FileVerdict, SignedCatalog};
use crate::{Member, Version};

/// A Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Its name.
    pub name: &'static str,
    /// Its version, as catalogues have it.
    version: &'static str,
    /// Whether it reads SHA-256 hashes in catalogues and signatures as it came.
    knows_sha256: bool,
}

/// What a Windows would say to a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowsVerdict {
    /// Its name.
    pub name: &'static str,
    /// Whether the catalogue names it.
    pub is_meant: bool,
    /// Why it would not install the package, though it trusted the signer.
    pub refusals: Vec<String>,
    /// What cannot be checked here, so that nothing can be said.
    pub unknown: Vec<String>,
    /// What must be done on it.
    pub conditions: Vec<String>,
}

impl Windows {
    /// Those that are judged, the oldest first.
    pub const ALL: [Self; 4] = [
        Self { name: "Windows 7", version: "2:6.1", knows_sha256: false },
        Self { name: "Windows 8", version: "2:6.2", knows_sha256: true },
        Self { name: "Windows 8.1", version: "2:6.3", knows_sha256: true },
        Self { name: "Windows 10 and 11", version: "2:10.0", knows_sha256: true },
    ];

    /// Says what it would say.
    pub(crate) fn judge(&self, signed: &SignedCatalog, files: &[FileVerdict]) -> WindowsVerdict {
        let catalog = &signed.catalog;
        let names = |member: &Member| member.systems().is_none_or(|systems| names_system(systems, self.version));
        let is_meant = !catalog.members.is_empty() && catalog.members.iter().all(names);
        let mut refusals = Vec::new();
        let (mut unknown, mut conditions) = (Vec::new(), Vec::new());
        if signed.signatures.is_empty() {
            refusals.push("the catalogue is not signed (0xE000022F)".to_owned());
        }
        refusals.extend(signed.faults.iter().cloned());
        for signature in &signed.signatures {
            refusals.extend(signature.faults.iter().map(|fault| format!("the catalogue's signature: {fault}")));
            unknown.extend(signature.unknown.iter().map(|what| format!("the catalogue's signature: {what}")));
            if signature.hash != "SHA-1" && !self.knows_sha256 {
                conditions
                    .push("its update for SHA-2 (KB4474419 or KB3033929): the signature is made with SHA-2".to_owned());
            }
        }
        if catalog.version == Version::V2 && !self.knows_sha256 {
            refusals.push("it reads no catalogue of version 2: make one of version 1".to_owned());
        }
        if !is_meant {
            refusals.push("the catalogue does not name it (0xE0000244)".to_owned());
        }
        for file in files {
            match file.state {
                FileState::Listed => {}
                FileState::Altered => {
                    refusals.push(format!("{} was altered: its hash is not the catalogue's (0xE000024B)", file.name));
                }
                FileState::Unlisted => refusals.push(format!("{} is not in the catalogue (0xE000024B)", file.name)),
                FileState::Missing => refusals.push(format!("{} is not in the folder", file.name)),
            }
            if let Some(signature) = &file.signature {
                let of_file = |what: &String| format!("the signature in {}: {what}", file.name);
                refusals.extend(signature.faults.iter().map(of_file));
                unknown.extend(signature.unknown.iter().map(of_file));
            }
        }
        if !signed.signatures.is_empty() {
            conditions.push("the root among its trusted roots, and the signer among its trusted publishers".to_owned());
            conditions.push(
                "on 64 bits, unless Microsoft has signed it, test signing on (and so Secure Boot off)".to_owned(),
            );
        }
        WindowsVerdict { name: self.name, is_meant, refusals, unknown, conditions }
    }
}

/// Returns whether a list as `2:6.1,2:10.0` names a system.
fn names_system(list: &str, version: &str) -> bool {
    list.split(',').map(str::trim).any(|one| one == version)
}
