//! Signed data: the envelope of catalogues and of the signatures in images.

use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode, Sequence};
use rsa::Pkcs1v15Sign;
use rsa::pkcs8::DecodePublicKey;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::catalog::set;
use crate::order::{is_sorted, unsorted_sets};
use crate::{PackageError, oid};

/// The version of signed data, and of a signer's part of it.
const VERSION: u8 = 1;

/// A message of PKCS #7.
#[derive(Clone, Debug, Sequence)]
struct Message {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: SignedData,
}

/// Content, certificates and signatures.
#[derive(Clone, Debug, Sequence)]
struct SignedData {
    version: u8,
    digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    content: Content,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    certificates: Option<SetOfVec<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    revocations: Option<SetOfVec<Any>>,
    signers: SetOfVec<Any>,
}

/// What is signed: a sequence, without the octets around it that the later standard has.
#[derive(Clone, Debug, Sequence)]
struct Content {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: Any,
}

/// One signature.
#[derive(Clone, Debug, Sequence)]
struct SignerInfo {
    version: u8,
    signer: IssuerAndSerial,
    digest_algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    signed: Option<SetOfVec<Attribute>>,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: OctetString,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    unsigned: Option<SetOfVec<Attribute>>,
}

/// The certificate of a signer, by who issued it.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct IssuerAndSerial {
    issuer: Name,
    serial: SerialNumber,
}

/// The name and address of what is signed: both left out.
#[derive(Clone, Debug, Sequence)]
struct OpusInfo {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    program: Option<Any>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    address: Option<Any>,
}

/// Signed data that was read.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// The type of what is signed.
    pub(crate) content_type: ObjectIdentifier,
    /// What is signed, with its tag and length.
    pub(crate) content: Vec<u8>,
    /// The certificates that came with it.
    pub(crate) certificates: Vec<Certificate>,
    /// The signatures.
    pub(crate) signatures: Vec<Signature>,
    /// What is wrong with the encoding, though it can be read.
    pub(crate) faults: Vec<String>,
}

/// A signature of signed data.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    /// The signer's certificate, when it came with it.
    pub(crate) certificate: Option<Certificate>,
    /// The hash that it is made of.
    pub(crate) digest: ObjectIdentifier,
    /// Why it is not the signature of this content by this certificate.
    pub(crate) fault: Option<String>,
    /// Whether a stamp tells when it was made.
    pub(crate) has_time_stamp: bool,
}

/// Makes signed data. `sign` signs bytes with RSA and SHA-256; without certificates nothing is signed.
///
/// # Errors
/// [`PackageError`] when it cannot be encoded, and what `sign` returns.
pub(crate) fn enclose(
    content_type: ObjectIdentifier,
    content: &[u8],
    certificates: &[Certificate],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, PackageError>,
) -> Result<Vec<u8>, PackageError> {
    let value = Any::from_der(content)?;
    let sha256 = algorithm(oid::SHA256);
    let (mut digest_algorithms, mut enclosed, mut signers) = (SetOfVec::new(), None, SetOfVec::new());
    if let Some(certificate) = certificates.first() {
        let digest = OctetString::new(Sha256::digest(value.value()).to_vec())?;
        let signed = SetOfVec::from_iter([
            set(oid::CONTENT_TYPE, &content_type)?,
            set(oid::MESSAGE_DIGEST, &digest)?,
            set(oid::STATEMENT_TYPE, &vec![oid::INDIVIDUAL_CODE_SIGNING])?,
            set(oid::OPUS_INFO, &OpusInfo { program: None, address: None })?,
        ])?;
        let signature = OctetString::new(sign(&signed.to_der()?)?)?;
        let tbs = certificate.tbs_certificate();
        signers.insert_ordered(Any::encode_from(&SignerInfo {
            version: VERSION,
            signer: IssuerAndSerial { issuer: tbs.issuer().clone(), serial: tbs.serial_number().clone() },
            digest_algorithm: sha256.clone(),
            signed: Some(signed),
            signature_algorithm: algorithm(oid::RSA),
            signature,
            unsigned: None,
        })?)?;
        digest_algorithms.insert_ordered(sha256)?;
        let all = certificates.iter().map(Any::encode_from).collect::<Result<Vec<_>, _>>()?;
        enclosed = Some(SetOfVec::from_iter(all)?);
    }
    let data = SignedData {
        version: VERSION,
        digest_algorithms,
        content: Content { content_type, value },
        certificates: enclosed,
        revocations: None,
        signers,
    };
    Ok(Message { content_type: oid::SIGNED_DATA, content: data }.to_der()?)
}

/// Reads signed data.
///
/// # Errors
/// A sentence when the bytes are no signed data, which says what is malformed.
pub(crate) fn open(bytes: &[u8]) -> Result<Envelope, String> {
    let message = Message::from_der(bytes).map_err(|error| format!("it is no signed data of PKCS #7: {error}"))?;
    if message.content_type != oid::SIGNED_DATA {
        return Err(format!("it is a message of the type {}, not signed data", message.content_type));
    }
    let malformed = |error: der::Error| format!("it is malformed: {error}");
    let data = message.content;
    let mut faults: Vec<String> = unsorted_sets(bytes)
        .map_err(malformed)?
        .iter()
        .map(|place| format!("the set at byte {place} is not in the order of DER: Windows sees no signature at all"))
        .collect();
    if !certificates_are_sorted(bytes).map_err(malformed)? {
        faults.push("its certificates are not in the order of DER: Windows sees no signature at all".into());
    }
    let mut certificates = Vec::new();
    for one in data.certificates.iter().flat_map(SetOfVec::iter) {
        match one.decode_as::<Certificate>() {
            Ok(certificate) => certificates.push(certificate),
            Err(error) => faults.push(format!("one of its certificates cannot be read: {error}")),
        }
    }
    let content = data.content.value;
    let signers = data.signers.iter().map(|one| {
        let signer = one.decode_as::<SignerInfo>().map_err(malformed)?;
        Ok(signature(&signer, data.content.content_type, content.value(), &certificates))
    });
    let signatures = signers.collect::<Result<_, String>>()?;
    Ok(Envelope {
        content_type: data.content.content_type,
        content: content.to_der().map_err(malformed)?,
        certificates,
        signatures,
        faults,
    })
}

/// Hashes bytes by an algorithm of a signature.
pub(crate) fn hash(algorithm: ObjectIdentifier, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match algorithm {
        oid::SHA1 => Sha1::digest(bytes).to_vec(),
        oid::SHA256 => Sha256::digest(bytes).to_vec(),
        oid::SHA384 => Sha384::digest(bytes).to_vec(),
        oid::SHA512 => Sha512::digest(bytes).to_vec(),
        _ => return None,
    })
}

/// Checks an RSA signature of bytes by a certificate; returns what is wrong.
pub(crate) fn check(
    certificate: &Certificate,
    digest: ObjectIdentifier,
    bytes: &[u8],
    signature: &[u8],
) -> Option<String> {
    let key = certificate.tbs_certificate().subject_public_key_info();
    if key.algorithm.oid != oid::RSA {
        return Some(format!("the signer's key is of the kind {}: only RSA can be checked here", key.algorithm.oid));
    }
    let Some(hash) = hash(digest, bytes) else {
        return Some(format!("it is made of a hash of the kind {digest}, which cannot be checked here"));
    };
    let Ok(Ok(public)) = key.to_der().map(|der| rsa::PublicKey::from_public_key_der(&der)) else {
        return Some("the signer's key cannot be read".into());
    };
    let scheme = match digest {
        oid::SHA1 => Pkcs1v15Sign::new::<Sha1>(),
        oid::SHA384 => Pkcs1v15Sign::new::<Sha384>(),
        oid::SHA512 => Pkcs1v15Sign::new::<Sha512>(),
        _ => Pkcs1v15Sign::new::<Sha256>(),
    };
    public.verify(scheme, &hash, signature).err().map(|_| "it was not made by the key of its certificate".into())
}

fn signature(
    signer: &SignerInfo,
    content_type: ObjectIdentifier,
    content: &[u8],
    certificates: &[Certificate],
) -> Signature {
    let digest = signer.digest_algorithm.oid;
    let certificate = certificates
        .iter()
        .find(|certificate| {
            let tbs = certificate.tbs_certificate();
            *tbs.issuer() == signer.signer.issuer && *tbs.serial_number() == signer.signer.serial
        })
        .cloned();
    let stamps = [oid::COUNTER_SIGNATURE, oid::TIME_STAMP];
    let has_time_stamp =
        signer.unsigned.iter().flat_map(SetOfVec::iter).any(|attribute| stamps.contains(&attribute.oid));
    let fault = fault(signer, content_type, content, certificate.as_ref());
    Signature { certificate, digest, fault, has_time_stamp }
}

fn fault(
    signer: &SignerInfo,
    content_type: ObjectIdentifier,
    content: &[u8],
    certificate: Option<&Certificate>,
) -> Option<String> {
    let Some(certificate) = certificate else {
        return Some("the signer's certificate is not among those that came with it".into());
    };
    let digest = signer.digest_algorithm.oid;
    let Some(hashed) = hash(digest, content) else {
        return Some(format!("it is made of a hash of the kind {digest}, which cannot be checked here"));
    };
    let Some(signed) = &signer.signed else {
        return check(certificate, digest, content, signer.signature.as_bytes());
    };
    let value = |wanted: ObjectIdentifier| {
        signed.iter().find(|attribute| attribute.oid == wanted).and_then(|attribute| attribute.values.get(0))
    };
    let named = value(oid::MESSAGE_DIGEST).and_then(|value| value.decode_as::<OctetString>().ok());
    match named {
        None => return Some("it names no hash of what it signs".into()),
        Some(named) if named.as_bytes() != hashed => {
            return Some("the content is not what was signed: it was altered since".into());
        }
        Some(_) => {}
    }
    let named = value(oid::CONTENT_TYPE).and_then(|value| value.decode_as::<ObjectIdentifier>().ok());
    if named != Some(content_type) {
        return Some("it names another type of content than it is about".into());
    }
    match signed.to_der() {
        Ok(bytes) => check(certificate, digest, &bytes, signer.signature.as_bytes()),
        Err(error) => Some(format!("its attributes cannot be encoded: {error}")),
    }
}

/// Returns whether the certificates stand in the order of DER: a set as well, though its tag does not say so.
fn certificates_are_sorted(bytes: &[u8]) -> der::Result<bool> {
    #[derive(Sequence)]
    struct Outer<'a> {
        content_type: ObjectIdentifier,
        #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
        content: der::asn1::AnyRef<'a>,
    }
    let outer = Outer::from_der(bytes)?;
    let mut reader = der::SliceReader::new(outer.content.value())?;
    while !der::Reader::is_finished(&reader) {
        let part = der::asn1::AnyRef::decode(&mut reader)?;
        if matches!(der::Tagged::tag(&part), der::Tag::ContextSpecific { number: der::TagNumber(0), .. }) {
            return is_sorted(part.value());
        }
    }
    Ok(true)
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
}
