//! What a Windows would say to a package.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use der::asn1::ObjectIdentifier;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage};

use crate::catalog::IndirectData;
use crate::file::{is_image, read_regular};
use crate::inf::{PackageInf, is_inf};
use crate::signed::{Envelope, Fault, Signature, check, open};
use crate::windows::{Windows, WindowsVerdict};
use crate::{Architecture, Catalog, HashedFile, Image, Member, PackageError, oid};

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
    /// Whether a sound stamp tells when it was made: without, it ends with its certificate.
    pub has_time_stamp: bool,
    /// What is wrong.
    pub faults: Vec<String>,
    /// What is of a kind that cannot be checked here.
    pub unknown: Vec<String>,
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
    /// Its path below the folder.
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
            && self.signatures.iter().all(|signature| signature.faults.is_empty() && signature.unknown.is_empty())
    }
}

impl FolderVerdict {
    /// Compares a folder with a catalogue in it at a time.
    ///
    /// # Errors
    /// [`PackageError`] when a file cannot be read, an INF is none, or the catalogue is none.
    pub fn of(folder: &Path, catalog: &Path, now: SystemTime) -> Result<Self, PackageError> {
        let bytes = read_regular(catalog)?;
        let name = catalog.file_name().unwrap_or_default().to_string_lossy();
        let signed = SignedCatalog::read(&name, &bytes, now)?;
        let listed_names: BTreeSet<String> =
            signed.catalog.members.iter().filter_map(Member::file).map(str::to_lowercase).collect();
        let mut files = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, path) in files_of(folder, &name, &listed_names)? {
            let base = name.rsplit('/').next().unwrap_or_default().to_owned();
            _ = seen.insert(base.to_lowercase());
            let Some(path) = path else {
                files.push(FileVerdict { name, state: FileState::Missing, signature: None });
                continue;
            };
            let bytes = read_regular(&path)?;
            let known = listed_names.contains(&base.to_lowercase());
            let state = match HashedFile::of(&base, &bytes) {
                Ok(file) if signed.catalog.member_of(&file).is_some() => FileState::Listed,
                _ if known => FileState::Altered,
                _ => FileState::Unlisted,
            };
            files.push(FileVerdict { signature: embedded(&base, &bytes, now), name, state });
        }
        let names = signed.catalog.members.iter().filter_map(Member::file);
        let gone: BTreeSet<&str> = names.filter(|name| !seen.contains(&name.to_lowercase())).collect();
        files.extend(gone.into_iter().map(|name| FileVerdict {
            name: name.into(),
            state: FileState::Missing,
            signature: None,
        }));
        files.sort_by_key(|file| file.name.to_lowercase());
        let windows = Windows::ALL.iter().map(|windows| windows.judge(&signed, &files)).collect();
        Ok(Self { path: catalog.into(), catalog: signed, files, windows })
    }

    /// Returns whether the catalogue names a Windows, and every one that it names would take the package from a signer that it trusts.
    #[must_use]
    pub fn holds(&self) -> bool {
        let mut meant = self.windows.iter().filter(|verdict| verdict.is_meant).peekable();
        meant.peek().is_some() && meant.all(|verdict| verdict.refusals.is_empty() && verdict.unknown.is_empty())
    }
}

/// Returns the files that a catalogue of a package must hold, by their path below the folder: the INFs that name this catalogue, and what
/// they copy from the package for the catalogue's architecture, with where it is, if it is there. Of a folder without an INF all files
/// but catalogues; of one whose INF cannot be read, as one that was altered, what the catalogue lists (`listed`, in lower case).
///
/// # Errors
/// [`PackageError::File`] when the folder cannot be read.
fn files_of(
    folder: &Path,
    catalog: &str,
    listed: &BTreeSet<String>,
) -> Result<BTreeMap<String, Option<PathBuf>>, PackageError> {
    let failed = |source| PackageError::File { what: "read", path: folder.into(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| path.is_file());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let infs: Vec<&PathBuf> = paths.iter().filter(|path| is_inf(path)).collect();
    if infs.is_empty() {
        let is_catalog = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("cat"));
        return Ok(paths
            .iter()
            .filter(|path| !is_catalog(path))
            .map(|path| (name(path), Some(path.clone())))
            .collect());
    }
    let mut packages = Vec::new();
    for inf in infs {
        packages.push((inf, PackageInf::parse(&read_regular(inf)?)));
    }
    let names_it = |package: &PackageInf| package.catalogs.iter().any(|(_, named)| named.eq_ignore_ascii_case(catalog));
    let any_names_it = packages.iter().any(|(_, package)| package.as_ref().is_ok_and(names_it));
    let mut found = BTreeMap::new();
    for (inf, package) in packages {
        // Another INF's faults are another catalogue's.
        let package = match package {
            Ok(package) if !any_names_it || names_it(&package) => package,
            Ok(_) => continue,
            Err(_) if any_names_it => continue,
            Err(_) => {
                _ = found.insert(name(inf), Some(inf.clone()));
                let there = listed.iter().filter_map(|file| find(folder, file));
                found.extend(there.map(|path| (name(&path), Some(path))));
                continue;
            }
        };
        _ = found.insert(name(inf), Some(inf.clone()));
        let of: Vec<Option<Architecture>> = package
            .catalogs
            .iter()
            .filter(|(_, named)| named.eq_ignore_ascii_case(catalog))
            .map(|(of, _)| *of)
            .collect();
        for (architecture, file) in &package.files {
            let fits = of.is_empty() || of.contains(&None) || architecture.is_none() || of.contains(architecture);
            if fits {
                let path = find(folder, file);
                _ = found.insert(file.clone(), path);
            }
        }
    }
    Ok(found)
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
fn embedded(name: &str, bytes: &[u8], now: SystemTime) -> Option<SignatureVerdict> {
    if !is_image(bytes) {
        return None;
    }
    let unread = |fault: String| SignatureVerdict {
        chain: Vec::new(),
        hash: String::new(),
        fingerprint: String::new(),
        has_time_stamp: false,
        faults: vec![fault],
        unknown: Vec::new(),
    };
    let image = match Image::read(name, bytes) {
        Ok(image) if image.is_signed() => image,
        Ok(_) => return None,
        Err(PackageError::Image { reason, .. }) => return Some(unread(reason)),
        Err(error) => return Some(unread(error.to_string())),
    };
    let Some(signature) = image.signature() else {
        return Some(unread("its certificate table holds no signed data of PKCS #7".into()));
    };
    let envelope = match open(signature) {
        Ok(envelope) => envelope,
        Err(fault) => return Some(unread(fault)),
    };
    let first = signatures(&envelope, now).into_iter().next();
    let mut verdict = first.unwrap_or_else(|| unread("it has no signer".into()));
    verdict.faults.extend(envelope.faults.iter().cloned());
    match <IndirectData as der::Decode>::from_der(&envelope.content) {
        Ok(data) if envelope.content_type == oid::INDIRECT_DATA => {
            let digest = &data.digest;
            let hash = match digest.algorithm.oid {
                oid::SHA1 => Some(image.hash::<Sha1>()),
                oid::SHA256 => Some(image.hash::<Sha256>()),
                oid::SHA384 => Some(image.hash::<Sha384>()),
                oid::SHA512 => Some(image.hash::<Sha512>()),
                _ => None,
            };
            match hash {
                None => verdict.unknown.push(format!("its hash is of the kind {}", digest.algorithm.oid)),
                Some(hash) if hash != digest.digest.as_bytes() => {
                    verdict.faults.push("the image was altered since it was signed".into());
                }
                Some(_) => {}
            }
        }
        _ => verdict.faults.push("what it signs is not an image's hash".into()),
    }
    Some(verdict)
}

fn signatures(envelope: &Envelope, now: SystemTime) -> Vec<SignatureVerdict> {
    envelope.signatures.iter().map(|signature| verdict(signature, envelope, now)).collect()
}

fn verdict(signature: &Signature, envelope: &Envelope, now: SystemTime) -> SignatureVerdict {
    let mut verdict = SignatureVerdict {
        chain: Vec::new(),
        hash: hash_name(signature.digest),
        fingerprint: String::new(),
        has_time_stamp: matches!(signature.time_stamp, Some(Ok(_))),
        faults: Vec::new(),
        unknown: Vec::new(),
    };
    verdict.add(signature.fault.clone(), String::new());
    // Windows holds a signature to the time at which it was made, where a stamp says that.
    let when = match &signature.time_stamp {
        Some(Ok(time)) => *time,
        Some(Err(fault)) => {
            verdict.faults.push(format!("its time stamp: {fault}"));
            now
        }
        None => now,
    };
    if let Some(certificate) = &signature.certificate {
        let chain = chain(certificate, &envelope.certificates);
        verdict.chain = chain.iter().map(|one| one.tbs_certificate().subject().to_string()).collect();
        judge_chain(&chain, when, &mut verdict);
        let der = der::Encode::to_der(certificate).unwrap_or_default();
        verdict.fingerprint = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
    }
    verdict
}

impl SignatureVerdict {
    fn add(&mut self, fault: Option<Fault>, before: String) {
        match fault {
            None => {}
            Some(Fault::Wrong(what)) => self.faults.push(before + &what),
            Some(Fault::Unknown(what)) => self.unknown.push(before + &what),
        }
    }
}

/// Follows a certificate to who issued it, as far as those that came with it go. Of several of one name it is the one whose key has
/// signed: a certificate that was renewed has its name and another key.
fn chain<'a>(certificate: &'a Certificate, all: &'a [Certificate]) -> Vec<&'a Certificate> {
    let mut chain = vec![certificate];
    while chain.len() < CHAIN_MAX {
        let last = chain[chain.len() - 1];
        let tbs = last.tbs_certificate();
        if tbs.issuer() == tbs.subject() {
            break;
        }
        let mut named = all.iter().filter(|one| one.tbs_certificate().subject() == tbs.issuer()).peekable();
        let first = named.peek().copied();
        let Some(issuer) = named.find(|one| signature_of(last, one).is_none()).or(first) else { break };
        chain.push(issuer);
    }
    chain
}

/// Checks the signature in a certificate by who should have issued it.
fn signature_of(one: &Certificate, issuer: &Certificate) -> Option<Fault> {
    let tbs = one.tbs_certificate();
    let algorithm = one.signature_algorithm();
    if algorithm != tbs.signature() || one.signature().unused_bits() != 0 {
        return Some(Fault::Wrong("it is of another kind than the certificate says".into()));
    }
    match (der::Encode::to_der(tbs), digest_of(algorithm.oid)) {
        (Ok(signed), Some(digest)) => check(issuer, digest, &signed, one.signature().raw_bytes()),
        (Err(error), _) => Some(Fault::Wrong(error.to_string())),
        (Ok(_), None) => Some(Fault::Unknown(format!("its algorithm {} cannot be checked here", algorithm.oid))),
    }
}

/// Looks for what keeps certificates from signing code for Windows at a time.
fn judge_chain(chain: &[&Certificate], when: SystemTime, verdict: &mut SignatureVerdict) {
    for (index, one) in chain.iter().enumerate() {
        let tbs = one.tbs_certificate();
        let subject = tbs.subject();
        let constraints = tbs.get_extension::<BasicConstraints>().ok().flatten().map(|(_, found)| found.ca);
        match (index, constraints) {
            // A certificate that issues others cannot be trusted as a publisher, save one that stands for itself alone.
            (0, Some(true)) => {
                verdict
                    .faults
                    .push(format!("{subject} may issue certificates (CA:TRUE): Windows trusts no such signer"));
            }
            (1.., Some(false) | None) => {
                let issued = chain[index - 1].tbs_certificate().subject();
                let what = format!("{subject} may not issue certificates (CA:FALSE), but has issued {issued}");
                verdict.faults.push(what);
            }
            _ => {}
        }
        if index == 0 {
            let usages = tbs.get_extension::<ExtendedKeyUsage>().ok().flatten().map(|(_, found)| found.0);
            if usages.is_some_and(|usages| !usages.contains(&oid::CODE_SIGNING)) {
                let what = format!("{subject} is not for signing code: it has other usages, and not 1.3.6.1.5.5.7.3.3");
                verdict.faults.push(what);
            }
        }
        let validity = tbs.validity();
        if when < validity.not_before.to_system_time() {
            verdict.faults.push(format!("{subject} is not valid before {}", validity.not_before));
        }
        if when > validity.not_after.to_system_time() {
            let stamp = if verdict.has_time_stamp {
                "and the time stamp is later"
            } else {
                "and no time stamp says that it was signed before"
            };
            verdict.faults.push(format!("{subject} is not valid after {}, {stamp}", validity.not_after));
        }
        let issuer = if tbs.issuer() == subject { Some(*one) } else { chain.get(index + 1).copied() };
        if let Some(issuer) = issuer {
            verdict.add(signature_of(one, issuer), format!("the signature of {} in {subject}: ", tbs.issuer()));
        }
    }
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
