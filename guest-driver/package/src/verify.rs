//! What a Windows would say to a package.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use der::asn1::ObjectIdentifier;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage};

use crate::catalog::IndirectData;
use crate::inf::{PackageInf, is_inf};
use crate::signed::{Envelope, check, open};
use crate::windows::{Windows, WindowsVerdict};
use crate::{Catalog, HashedFile, Image, Member, PackageError, oid};

/// The longest chain of certificates that is followed.
const CHAIN_MAX: usize = 16;

/// A signature, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureVerdict {
    /// The names of the certificates, the signer's first, as far as they came with it.
    pub chain: Vec<String>,
    /// The algorithm of its hash: `SHA-256`.
    pub hash: String,
    /// The SHA-256 hash of the signer's certificate, as digits.
    pub fingerprint: String,
    /// Whether a stamp tells when it was made: without, it ends with its certificate.
    pub has_time_stamp: bool,
    /// What is wrong.
    pub faults: Vec<String>,
}

/// A catalogue that was read, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct SignedCatalog {
    /// Its content.
    pub catalog: Catalog,
    /// Its signatures.
    pub signatures: Vec<SignatureVerdict>,
    /// What is wrong with its encoding.
    pub faults: Vec<String>,
}

/// What became of a file since the catalogue was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Its hash is in the catalogue.
    Listed,
    /// Its name is in the catalogue, with another hash.
    Altered,
    /// The catalogue does not know it.
    Unlisted,
    /// The catalogue has it, and the folder has not.
    Missing,
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVerdict {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub state: FileState,
    /// The signature in it, of an image.
    pub signature: Option<SignatureVerdict>,
}

/// A package, compared with its catalogue.
#[derive(Clone, Debug)]
pub struct FolderVerdict {
    /// The catalogue's file.
    pub path: PathBuf,
    /// The catalogue.
    pub catalog: SignedCatalog,
    /// The files, by name.
    pub files: Vec<FileVerdict>,
    /// What each Windows would say.
    pub windows: Vec<WindowsVerdict>,
}

impl SignedCatalog {
    /// Reads a catalogue's file and checks its signatures at a time. `name` is the file's, for errors.
    ///
    /// # Errors
    /// [`PackageError::Catalog`] when it is none.
    pub fn read(name: &str, bytes: &[u8], now: SystemTime) -> Result<Self, PackageError> {
        let wrong = |reason: String| PackageError::Catalog { name: name.into(), reason };
        let envelope = open(bytes).map_err(wrong)?;
        if envelope.content_type != oid::TRUST_LIST {
            return Err(wrong(format!(
                "it signs something of the type {}, not a list of hashes",
                envelope.content_type
            )));
        }
        let catalog = Catalog::from_der(name, &envelope.content)?;
        Ok(Self { catalog, signatures: signatures(&envelope, now), faults: envelope.faults })
    }

    /// Returns whether it has a signature, and nothing is wrong with it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
            && !self.signatures.is_empty()
            && self.signatures.iter().all(|signature| signature.faults.is_empty())
    }
}

impl FolderVerdict {
    /// Compares a folder with a catalogue in it at a time.
    ///
    /// # Errors
    /// [`PackageError`] when a file cannot be read, or the catalogue is none.
    pub fn of(folder: &Path, catalog: &Path, now: SystemTime) -> Result<Self, PackageError> {
        let bytes = read(catalog)?;
        let name = catalog.file_name().unwrap_or_default().to_string_lossy();
        let signed = SignedCatalog::read(&name, &bytes, now)?;
        let mut files = Vec::new();
        let mut seen = BTreeSet::new();
        for path in files_of(folder)? {
            let file = HashedFile::read(&path)?;
            let listed = signed.catalog.member_of(&file).is_some();
            let named =
                signed.catalog.members.iter().filter_map(Member::file).any(|it| it.eq_ignore_ascii_case(&file.name));
            let state = match (listed, named) {
                (true, _) => FileState::Listed,
                (false, true) => FileState::Altered,
                (false, false) => FileState::Unlisted,
            };
            _ = seen.insert(file.name.to_lowercase());
            files.push(FileVerdict { signature: embedded(&file.name, &read(&path)?, now)?, name: file.name, state });
        }
        let names: BTreeSet<String> =
            signed.catalog.members.iter().filter_map(Member::file).map(str::to_owned).collect();
        files.extend(names.into_iter().filter(|name| !seen.contains(&name.to_lowercase())).map(|name| FileVerdict {
            name,
            state: FileState::Missing,
            signature: None,
        }));
        files.sort_by_key(|file| file.name.to_lowercase());
        let windows = Windows::ALL.iter().map(|windows| windows.judge(&signed, &files)).collect();
        Ok(Self { path: catalog.into(), catalog: signed, files, windows })
    }

    /// Returns whether every Windows that the catalogue names would take the package from a signer that it trusts.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.windows.iter().all(|verdict| !verdict.is_meant || verdict.refusals.is_empty())
    }
}

/// Returns the files that a package's catalogue must hold: its INFs and what they copy from it, as far as it is there; of a folder
/// without an INF, all files but catalogues.
///
/// # Errors
/// [`PackageError::File`] when the folder cannot be read, [`PackageError::Inf`] for an INF that is none.
pub fn files_of(folder: &Path) -> Result<Vec<PathBuf>, PackageError> {
    let failed = |source| PackageError::File { what: "read", path: folder.into(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    files.retain(|path| path.is_file());
    let infs: Vec<PathBuf> = files.iter().filter(|path| is_inf(path)).cloned().collect();
    if infs.is_empty() {
        files.retain(|path| path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("cat")));
        files.sort();
        return Ok(files);
    }
    let mut named = BTreeSet::new();
    for inf in infs {
        let package = PackageInf::parse(&read(&inf)?).map_err(|fault| PackageError::inf(&inf, fault))?;
        for (_, file) in &package.files {
            // Windows does not tell the case of names apart.
            if let Some(path) = find(folder, file) {
                _ = named.insert(path);
            }
        }
        _ = named.insert(inf);
    }
    Ok(named.into_iter().collect())
}

/// Finds a file below a folder, whatever the case of its name.
pub(crate) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    name.split('/').filter(|part| !part.is_empty()).try_fold(folder.to_path_buf(), |at, part| {
        let entries = fs::read_dir(&at).ok()?.flatten();
        entries
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|found| found.to_string_lossy().eq_ignore_ascii_case(part)))
    })
}

/// Checks the signature in an image; files that are none, or have none, have no verdict.
fn embedded(name: &str, bytes: &[u8], now: SystemTime) -> Result<Option<SignatureVerdict>, PackageError> {
    if !bytes.starts_with(b"MZ") {
        return Ok(None);
    }
    let image = Image::read(name, bytes)?;
    if !image.is_signed() {
        return Ok(None);
    }
    let unread = |fault: String| SignatureVerdict {
        chain: Vec::new(),
        hash: String::new(),
        fingerprint: String::new(),
        has_time_stamp: false,
        faults: vec![fault],
    };
    let Some(signature) = image.signature() else {
        return Ok(Some(unread("its certificate table holds no signed data of PKCS #7".into())));
    };
    let envelope = match open(signature) {
        Ok(envelope) => envelope,
        Err(fault) => return Ok(Some(unread(fault))),
    };
    let mut verdict = match signatures(&envelope, now).into_iter().next() {
        Some(verdict) => verdict,
        None => unread("it is signed by nobody".into()),
    };
    verdict.faults.extend(envelope.faults.iter().cloned());
    let data = <IndirectData as der::Decode>::from_der(&envelope.content);
    match data {
        Ok(data) if envelope.content_type == oid::INDIRECT_DATA => {
            let digest = &data.digest;
            let hash = match digest.algorithm.oid {
                oid::SHA1 => Some(image.hash::<sha1::Sha1>()),
                oid::SHA256 => Some(image.hash::<Sha256>()),
                _ => None,
            };
            match hash {
                None => verdict
                    .faults
                    .push(format!("its hash is of the kind {}, which is not checked", digest.algorithm.oid)),
                Some(hash) if hash != digest.digest.as_bytes() => {
                    verdict.faults.push("the image was altered since it was signed".into());
                }
                Some(_) => {}
            }
        }
        _ => verdict.faults.push("what it signs is not an image's hash".into()),
    }
    Ok(Some(verdict))
}

fn signatures(envelope: &Envelope, now: SystemTime) -> Vec<SignatureVerdict> {
    envelope
        .signatures
        .iter()
        .map(|signature| {
            let mut faults: Vec<String> = signature.fault.iter().cloned().collect();
            let mut names = Vec::new();
            let mut fingerprint = String::new();
            if let Some(certificate) = &signature.certificate {
                let chain = chain(certificate, &envelope.certificates);
                names = chain.iter().map(|one| one.tbs_certificate().subject().to_string()).collect();
                faults.extend(faults_of(&chain, now, signature.has_time_stamp));
                let der = der::Encode::to_der(certificate).unwrap_or_default();
                fingerprint = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
            }
            SignatureVerdict {
                chain: names,
                hash: hash_name(signature.digest),
                fingerprint,
                has_time_stamp: signature.has_time_stamp,
                faults,
            }
        })
        .collect()
}

/// Follows a certificate to who issued it, as far as those that came with it go.
fn chain<'a>(certificate: &'a Certificate, all: &'a [Certificate]) -> Vec<&'a Certificate> {
    let mut chain = vec![certificate];
    while chain.len() < CHAIN_MAX {
        let last = chain[chain.len() - 1].tbs_certificate();
        let issuer = all.iter().find(|one| one.tbs_certificate().subject() == last.issuer());
        match issuer {
            Some(issuer) if last.issuer() != last.subject() => chain.push(issuer),
            _ => break,
        }
    }
    chain
}

/// Returns what keeps certificates from signing code for Windows.
fn faults_of(chain: &[&Certificate], now: SystemTime, has_time_stamp: bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, one) in chain.iter().enumerate() {
        let tbs = one.tbs_certificate();
        let subject = tbs.subject();
        let is_root = tbs.issuer() == subject;
        let constraints = tbs.get_extension::<BasicConstraints>().ok().flatten().map(|(_, found)| found.ca);
        match (index, constraints) {
            // A certificate that issues others cannot be trusted as a publisher, save one that stands for itself alone.
            (0, Some(true)) => {
                faults.push(format!("{subject} may issue certificates (CA:TRUE): Windows trusts no such signer"));
            }
            (1.., Some(false) | None) if chain.len() > 1 => {
                faults.push(format!(
                    "{subject} may not issue certificates (CA:FALSE), but has issued {}",
                    chain[index - 1].tbs_certificate().subject()
                ));
            }
            _ => {}
        }
        if index == 0 {
            let usages = tbs.get_extension::<ExtendedKeyUsage>().ok().flatten().map(|(_, found)| found.0);
            if usages.is_some_and(|usages| !usages.contains(&oid::CODE_SIGNING)) {
                faults
                    .push(format!("{subject} is not for signing code: it has other usages, and not 1.3.6.1.5.5.7.3.3"));
            }
        }
        let validity = tbs.validity();
        if now < validity.not_before.to_system_time() {
            faults.push(format!("{subject} is not valid before {}", validity.not_before));
        }
        if now > validity.not_after.to_system_time() && !has_time_stamp {
            faults.push(format!(
                "{subject} is not valid after {}, and no time stamp says that it was signed before",
                validity.not_after
            ));
        }
        let issuer = if is_root { Some(*one) } else { chain.get(index + 1).copied() };
        let Some(issuer) = issuer else { continue };
        let algorithm = one.signature_algorithm().oid;
        if one.signature_algorithm() != tbs.signature() || one.signature().unused_bits() != 0 {
            faults.push(format!("the signature in {subject} is of another kind than the certificate says"));
        }
        let fault = match (der::Encode::to_der(tbs), digest_of(algorithm)) {
            (Ok(signed), Some(digest)) => check(issuer, digest, &signed, one.signature().raw_bytes()),
            (Err(error), _) => Some(error.to_string()),
            (Ok(_), None) => Some(format!("its algorithm {algorithm} cannot be checked here")),
        };
        if let Some(fault) = fault {
            faults.push(format!("the signature of {} in {subject}: {fault}", tbs.issuer()));
        }
    }
    faults
}

/// Returns the hash of an RSA signature's algorithm.
fn digest_of(algorithm: ObjectIdentifier) -> Option<ObjectIdentifier> {
    Some(match algorithm {
        oid::RSA_SHA1 => oid::SHA1,
        oid::RSA_SHA256 => oid::SHA256,
        oid::RSA_SHA384 => oid::SHA384,
        oid::RSA_SHA512 => oid::SHA512,
        _ => return None,
    })
}

fn hash_name(digest: ObjectIdentifier) -> String {
    match digest {
        oid::SHA1 => "SHA-1".into(),
        oid::SHA256 => "SHA-256".into(),
        oid::SHA384 => "SHA-384".into(),
        oid::SHA512 => "SHA-512".into(),
        other => other.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PackageError> {
    fs::read(path).map_err(|source| PackageError::File { what: "read", path: path.into(), source })
}
