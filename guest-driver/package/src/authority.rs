//! A test authority: a root that issues one certificate for code, and is forgotten.

use std::time::{Duration, SystemTime};

use der::flagset::FlagSet;
use der::pem::LineEnding;
use der::{Decode, Encode};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rsa::PrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rsa::signature::Keypair;
use sha2::{Digest, Sha256};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, TbsCertificate};

use crate::{PackageError, Signer, oid};

/// The size of the keys, in bits: what the code integrity of every Windows takes.
const KEY_BITS: usize = 2048;

/// How long the certificates are valid. A guest's clock can be set to any time within.
const VALIDITY: Duration = Duration::from_secs(20 * 365 * 86400);

/// How long before now they are valid already: a guest's clock may be in another time zone.
const BEFORE: Duration = Duration::from_secs(2 * 86400);

/// A test root, and a certificate for code that it has issued.
#[derive(Debug)]
pub struct TestAuthority {
    /// The root: trusted by a machine that has it among its trusted roots.
    pub root: Certificate,
    /// The signer's certificate: its publisher is trusted by a machine that has it among its trusted publishers.
    pub certificate: Certificate,
    key: PrivateKey,
}

impl TestAuthority {
    /// Makes both, with keys of their own. The root's key is forgotten: nothing else can ever be issued by it.
    ///
    /// # Errors
    /// [`PackageError::Key`] when the system gives no random numbers.
    pub fn create() -> Result<Self, PackageError> {
        let failed = |reason: String| PackageError::Key { name: "a new test certificate".into(), reason };
        let key = || PrivateKey::new(&mut SysRng, KEY_BITS).map_err(|error| failed(error.to_string()));
        let (root_key, key) = (key()?, key()?);
        let root_key = SigningKey::<Sha256>::new(root_key);
        let public = |of: &SigningKey<Sha256>| {
            SubjectPublicKeyInfoOwned::from_key(&of.verifying_key()).map_err(|error| failed(error.to_string()))
        };
        let root_public = public(&root_key)?;
        let signer_public = public(&SigningKey::new(key.clone()))?;
        // Two users' roots must not be taken for one another.
        let number: String =
            Sha256::digest(root_public.to_der()?)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = |text: &str| {
            format!("CN={text} {number},O=Test certificates of dmus")
                .parse::<Name>()
                .map_err(|error| failed(error.to_string()))
        };
        let root_name = name("dmus test root")?;
        let issue = |profile: Profile, public: SubjectPublicKeyInfoOwned| {
            let now = SystemTime::now();
            let time = |at: SystemTime| Time::try_from(at).map_err(PackageError::from);
            let validity = Validity::new(time(now - BEFORE)?, time(now + VALIDITY)?);
            let serial = SerialNumber::generate(&mut UnwrapErr(SysRng));
            CertificateBuilder::new(profile, serial, validity, public)
                .and_then(|builder| builder.build::<_, rsa::pkcs1v15::Signature>(&root_key))
                .map_err(|error| failed(error.to_string()))
        };
        let root =
            issue(Profile { subject: root_name.clone(), issuer: root_name.clone(), is_root: true }, root_public)?;
        let leaf = Profile { subject: name("dmus test signer")?, issuer: root_name, is_root: false };
        Ok(Self { root, certificate: issue(leaf, signer_public)?, key })
    }

    /// Reads what [`Self::key_pem`] and the certificates' DER were written as.
    ///
    /// # Errors
    /// [`PackageError::Key`] when one of them cannot be read.
    pub fn read(root: &[u8], certificate: &[u8], key_pem: &str) -> Result<Self, PackageError> {
        let wrong = |what: &str, reason: String| PackageError::Key { name: what.into(), reason };
        let read = |what: &str, bytes: &[u8]| {
            Certificate::from_der(bytes).map_err(|error| wrong(what, format!("it is no certificate in DER: {error}")))
        };
        let read = Self {
            root: read("the test root", root)?,
            certificate: read("the test certificate", certificate)?,
            key: PrivateKey::from_pkcs8_pem(key_pem)
                .map_err(|error| wrong("the test key", format!("it is no key of PKCS #8 in PEM: {error}")))?,
        };
        // What one file was copied from must be what the others were copied from.
        let certificate = read.certificate.to_der()?;
        Signer::read(("the test certificate", &certificate), ("the test key", key_pem.as_bytes()))?;
        Ok(read)
    }

    /// Returns the signer's key as PEM of PKCS #8.
    ///
    /// # Errors
    /// [`PackageError::Key`] when it cannot be encoded.
    pub fn key_pem(&self) -> Result<String, PackageError> {
        self.key
            .to_pkcs8_pem(LineEnding::LF)
            .map(|pem| pem.as_str().to_owned())
            .map_err(|error| PackageError::Key { name: "the test key".into(), reason: error.to_string() })
    }

    /// Returns who signs.
    #[must_use]
    pub fn signer(&self) -> Signer {
        Signer::new(self.key.clone(), vec![self.certificate.clone(), self.root.clone()])
    }
}

/// What the certificates of the authority say.
struct Profile {
    subject: Name,
    issuer: Name,
    is_root: bool,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let mut extensions: Vec<Extension> = Vec::new();
        let subject = tbs.subject();
        let (usage, path_len_constraint) =
            if self.is_root { (KeyUsages::KeyCertSign, Some(0)) } else { (KeyUsages::DigitalSignature, None) };
        let constraints = BasicConstraints { ca: self.is_root, path_len_constraint };
        extensions.push(constraints.to_extension(subject, &extensions)?);
        extensions.push(KeyUsage(FlagSet::from(usage)).to_extension(subject, &extensions)?);
        if !self.is_root {
            extensions.push(ExtendedKeyUsage(vec![oid::CODE_SIGNING]).to_extension(subject, &extensions)?);
            extensions.push(AuthorityKeyIdentifier::try_from(issuer_key)?.to_extension(subject, &extensions)?);
        }
        extensions.push(SubjectKeyIdentifier::try_from(key)?.to_extension(subject, &extensions)?);
        Ok(extensions)
    }
}
