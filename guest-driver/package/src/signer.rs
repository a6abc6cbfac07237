//! Who signs: a key and its certificates.

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use rsa::PrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use rsa::signature::{Keypair, SignatureEncoding, Signer as _};
use sha2::Sha256;
use x509_cert::Certificate;

use crate::catalog::IndirectData;
use crate::signed::enclose;
use crate::{Catalog, Image, PackageError, oid};

/// A key and its certificates.
#[derive(Clone, Debug)]
pub struct Signer {
    key: SigningKey<Sha256>,
    /// The signer's certificate, then those of who issued it.
    certificates: Vec<Certificate>,
}

impl Signer {
    /// Takes a key and its certificates, the signer's first.
    pub(crate) fn new(key: PrivateKey, certificates: Vec<Certificate>) -> Self {
        Self { key: SigningKey::new(key), certificates }
    }

    /// Reads a certificate, or a chain of them with the signer's first, and a key. Both are PEM or DER; a key is of PKCS #8 or PKCS #1. The
    /// names are the files', for errors.
    ///
    /// # Errors
    /// [`PackageError::Key`] when one of them cannot be read, the key is locked by a password or is not RSA, or does not belong to the first
    /// certificate.
    pub fn read(
        (certificate_name, certificate): (&str, &[u8]),
        (key_name, key): (&str, &[u8]),
    ) -> Result<Self, PackageError> {
        let wrong = |name: &str, reason: String| PackageError::Key { name: name.into(), reason };
        if is_pkcs12(certificate) {
            let reason = format!(
                "it is PKCS #12: take it apart first (openssl pkcs12 -in {certificate_name} -nodes -out both.pem), and name the result as both \
                 certificate and key"
            );
            return Err(wrong(certificate_name, reason));
        }
        let certificates = certificates(certificate)
            .map_err(|error| wrong(certificate_name, format!("it holds no certificate in PEM or DER: {error}")))?;
        let Some(first) = certificates.first() else {
            return Err(wrong(certificate_name, "it holds no certificate".into()));
        };
        let key = private_key(key).map_err(|reason| wrong(key_name, reason))?;
        let signer = SigningKey::<Sha256>::new(key);
        let public = signer.verifying_key().to_public_key_der().map_err(|error| wrong(key_name, error.to_string()))?;
        let certified = first.tbs_certificate().subject_public_key_info().to_der()?;
        if public.as_bytes() != certified {
            return Err(wrong(key_name, format!("it is not the key of the first certificate in {certificate_name}")));
        }
        Ok(Self { key: signer, certificates })
    }

    /// Returns the certificates, the signer's first.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Signs a catalogue; returns the file's bytes.
    ///
    /// # Errors
    /// [`PackageError`] when it cannot be encoded or signed.
    pub fn sign_catalog(&self, catalog: &Catalog) -> Result<Vec<u8>, PackageError> {
        self.enclose(oid::TRUST_LIST, &catalog.to_der()?)
    }

    /// Signs an image; returns it with the signature in it, which replaces the one that it has.
    ///
    /// # Errors
    /// [`PackageError`] when it is no image, or cannot be signed.
    pub fn sign_image(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, PackageError> {
        let image = Image::read(name, bytes)?;
        let data = IndirectData::of_image(oid::SHA256, &image.hash::<Sha256>())?;
        let signed = self.enclose(oid::INDIRECT_DATA, &data.to_der()?)?;
        image.with_table(name, Some(&signed))
    }

    fn enclose(&self, content_type: ObjectIdentifier, content: &[u8]) -> Result<Vec<u8>, PackageError> {
        enclose(content_type, content, &self.certificates, |bytes| {
            let failed =
                |error: rsa::signature::Error| PackageError::Key { name: "the key".into(), reason: error.to_string() };
            self.key.try_sign(bytes).map(|signature| signature.to_vec()).map_err(failed)
        })
    }
}

/// Returns a catalogue's file without a signature, as makers of catalogues leave it for a signing tool.
///
/// # Errors
/// [`PackageError`] when it cannot be encoded.
pub fn unsigned_catalog(catalog: &Catalog) -> Result<Vec<u8>, PackageError> {
    enclose(oid::TRUST_LIST, &catalog.to_der()?, &[], |_| Ok(Vec::new()))
}

/// Returns an image without the signature in it.
///
/// # Errors
/// [`PackageError::Image`] when it is no image.
pub fn without_signature(name: &str, bytes: &[u8]) -> Result<Vec<u8>, PackageError> {
    Image::read(name, bytes)?.with_table(name, None)
}

/// Returns whether bytes are a store of PKCS #12: a sequence that begins with the version 3.
fn is_pkcs12(bytes: &[u8]) -> bool {
    let Ok(outer) = der::asn1::AnyRef::from_der(bytes) else { return false };
    der::Tagged::tag(&outer) == der::Tag::Sequence && outer.value().starts_with(&[0x02, 0x01, 0x03])
}

fn certificates(bytes: &[u8]) -> der::Result<Vec<Certificate>> {
    let blocks = pem_blocks(bytes, |label| label == "CERTIFICATE");
    if blocks.is_empty() {
        return Certificate::from_der(bytes).map(|certificate| vec![certificate]);
    }
    blocks.iter().map(|block| <Certificate as der::DecodePem>::from_pem(block.as_bytes())).collect()
}

/// Returns the blocks of PEM with a label: between and before them there may be text, as other tools write it.
fn pem_blocks(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN ";
    let text = String::from_utf8_lossy(bytes);
    let mut rest = &*text;
    let mut blocks = Vec::new();
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let Some((label, _)) = after.split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        let Some((body, tail)) = after.split_once(&end) else { break };
        if wanted(label) {
            blocks.push(format!("{BEGIN}{}{end}\n", body.replace('\r', "")));
        }
        rest = tail;
    }
    blocks
}

fn private_key(bytes: &[u8]) -> Result<PrivateKey, String> {
    const LOCKED: &str = "it is locked by a password: unlock it first (openssl pkey -in KEY -out UNLOCKED)";
    let blocks = pem_blocks(bytes, |label| label.ends_with("PRIVATE KEY"));
    if let Some(block) = blocks.first() {
        if block.contains("BEGIN ENCRYPTED") || block.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(LOCKED.into());
        }
        return PrivateKey::from_pkcs8_pem(block)
            .or_else(|_| PrivateKey::from_pkcs1_pem(block))
            .map_err(|_| "it holds no RSA key: Windows takes signatures of drivers by RSA".into());
    }
    PrivateKey::from_pkcs8_der(bytes).or_else(|_| PrivateKey::from_pkcs1_der(bytes)).map_err(|_| {
        // Of a locked key the algorithm comes first, of an open one the version.
        let is_locked = der::asn1::AnyRef::from_der(bytes).is_ok_and(|outer| outer.value().first() == Some(&0x30));
        if is_locked { LOCKED.into() } else { "it holds no RSA key in PEM or DER, of PKCS #8 or PKCS #1".into() }
    })
}
