//! Signed data: the envelope of catalogues and of the signatures in images.

use std::time::SystemTime;

use der::asn1::{Any, AnyRef, GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
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

use crate::catalog::{DigestInfo, set};
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
    pub(crate) fault: Option<Fault>,
    /// When a stamp says that it was made, or what is wrong with the stamp.
    pub(crate) time_stamp: Option<Result<SystemTime, String>>,
}

/// What keeps a signature from being good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is none of this content by this certificate.
    Wrong(String),
    /// It is of a kind that is not known here.
    Unknown(String),
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
    for one in data.signers.iter() {
        if !attributes_are_sorted(one.value()).map_err(malformed)? {
            faults.push("the attributes of a signature are not in the order of DER, in which they are signed".into());
        }
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
) -> Option<Fault> {
    let key = certificate.tbs_certificate().subject_public_key_info();
    if key.algorithm.oid != oid::RSA {
        let kind = key.algorithm.oid;
        return Some(Fault::Unknown(format!("the signer's key is of the kind {kind}: only RSA can be checked here")));
    }
    let Some(hash) = hash(digest, bytes) else {
        return Some(Fault::Unknown(format!(
            "it is made of a hash of the kind {digest}, which cannot be checked here"
        )));
    };
    let Ok(Ok(public)) = key.to_der().map(|der| rsa::PublicKey::from_public_key_der(&der)) else {
        return Some(Fault::Wrong("the signer's key cannot be read".into()));
    };
    let scheme = match digest {
        oid::SHA1 => Pkcs1v15Sign::new::<Sha1>(),
        oid::SHA384 => Pkcs1v15Sign::new::<Sha384>(),
        oid::SHA512 => Pkcs1v15Sign::new::<Sha512>(),
        _ => Pkcs1v15Sign::new::<Sha256>(),
    };
    public
        .verify(scheme, &hash, signature)
        .err()
        .map(|_| Fault::Wrong("it was not made by the key of its certificate".into()))
}

fn signature(
    signer: &SignerInfo,
    content_type: ObjectIdentifier,
    content: &[u8],
    certificates: &[Certificate],
) -> Signature {
    let certificate = certificate_of(&signer.signer, certificates).cloned();
    let fault = fault(signer, Some(content_type), content, certificate.as_ref());
    let time_stamp = time_stamp(signer, certificates);
    Signature { certificate, digest: signer.digest_algorithm.oid, fault, time_stamp }
}

fn certificate_of<'a>(signer: &IssuerAndSerial, certificates: &'a [Certificate]) -> Option<&'a Certificate> {
    certificates.iter().find(|certificate| {
        let tbs = certificate.tbs_certificate();
        *tbs.issuer() == signer.issuer && *tbs.serial_number() == signer.serial
    })
}

fn fault(
    signer: &SignerInfo,
    content_type: Option<ObjectIdentifier>,
    content: &[u8],
    certificate: Option<&Certificate>,
) -> Option<Fault> {
    let wrong = |what: &str| Some(Fault::Wrong(what.into()));
    let Some(certificate) = certificate else {
        return wrong("the signer's certificate is not among those that came with it");
    };
    let digest = signer.digest_algorithm.oid;
    let Some(hashed) = hash(digest, content) else {
        return Some(Fault::Unknown(format!(
            "it is made of a hash of the kind {digest}, which cannot be checked here"
        )));
    };
    let Some(signed) = &signer.signed else {
        return check(certificate, digest, content, signer.signature.as_bytes());
    };
    match value(signed, oid::MESSAGE_DIGEST).and_then(|value| value.decode_as::<OctetString>().ok()) {
        None => return wrong("it names no hash of what it signs"),
        Some(named) if named.as_bytes() != hashed => {
            return wrong("the content is not what was signed: it was altered since");
        }
        Some(_) => {}
    }
    let named = value(signed, oid::CONTENT_TYPE).and_then(|value| value.decode_as::<ObjectIdentifier>().ok());
    if content_type.is_some() && named != content_type {
        return wrong("it names another type of content than it is about");
    }
    match signed.to_der() {
        Ok(bytes) => check(certificate, digest, &bytes, signer.signature.as_bytes()),
        Err(error) => wrong(&format!("its attributes cannot be encoded: {error}")),
    }
}

fn value(attributes: &SetOfVec<Attribute>, wanted: ObjectIdentifier) -> Option<&Any> {
    attributes.iter().find(|attribute| attribute.oid == wanted).and_then(|attribute| attribute.values.get(0))
}

/// Reads the stamp of a signature: of RFC 3161, or the counter-signature of PKCS #9 that came before it. Whether the stamp's signer is
/// trusted is the guest's to decide, as of any signer.
fn time_stamp(signer: &SignerInfo, certificates: &[Certificate]) -> Option<Result<SystemTime, String>> {
    let unsigned = signer.unsigned.as_ref()?;
    if let Some(token) = value(unsigned, oid::TIME_STAMP) {
        return Some(token.to_der().map_err(|error| error.to_string()).and_then(|token| token_time(&token, signer)));
    }
    let counter = value(unsigned, oid::COUNTER_SIGNATURE)?.decode_as::<SignerInfo>();
    Some(counter.map_err(|error| error.to_string()).and_then(|counter| {
        let certificate = certificate_of(&counter.signer, certificates);
        no_fault(fault(&counter, None, signer.signature.as_bytes(), certificate))?;
        let time = counter.signed.as_ref().and_then(|signed| value(signed, oid::SIGNING_TIME));
        let time = time.and_then(|time| time.decode_as::<UtcTime>().ok()).ok_or("it names no time")?;
        within(certificate, time.to_system_time())
    }))
}

/// Returns the time in a token of RFC 3161 about a signature.
fn token_time(token: &[u8], signer: &SignerInfo) -> Result<SystemTime, String> {
    let message = Message::from_der(token).map_err(|error| format!("it is malformed: {error}"))?;
    let data = message.content;
    let mut certificates = Vec::new();
    for one in data.certificates.iter().flat_map(SetOfVec::iter) {
        certificates.extend(one.decode_as::<Certificate>().ok());
    }
    let content = data.content.value;
    let info = TimeStampInfo::from_der(content.value()).map_err(|error| format!("it is malformed: {error}"))?;
    let stamper = data.signers.get(0).ok_or("it is not signed")?.decode_as::<SignerInfo>();
    let stamper = stamper.map_err(|error| format!("its signer is malformed: {error}"))?;
    let certificate = certificate_of(&stamper.signer, &certificates);
    no_fault(fault(&stamper, Some(data.content.content_type), content.value(), certificate))?;
    let imprint = &info.imprint;
    match hash(imprint.algorithm.oid, signer.signature.as_bytes()) {
        None => return Err(format!("its hash is of the kind {}, which cannot be checked here", imprint.algorithm.oid)),
        Some(hash) if hash != imprint.digest.as_bytes() => return Err("it is the stamp of another signature".into()),
        Some(_) => {}
    }
    within(certificate, info.time.to_system_time())
}

fn no_fault(fault: Option<Fault>) -> Result<(), String> {
    match fault {
        None => Ok(()),
        Some(Fault::Wrong(what) | Fault::Unknown(what)) => Err(what),
    }
}

fn within(certificate: Option<&Certificate>, time: SystemTime) -> Result<SystemTime, String> {
    let valid = certificate.map(|certificate| certificate.tbs_certificate().validity());
    match valid {
        Some(valid) if (valid.not_before.to_system_time()..=valid.not_after.to_system_time()).contains(&time) => {
            Ok(time)
        }
        _ => Err("its signer's certificate was not valid at its time".into()),
    }
}

/// What a time stamp says, as far as it is read.
struct TimeStampInfo {
    imprint: DigestInfo,
    time: GeneralizedTime,
}

impl TimeStampInfo {
    fn from_der(bytes: &[u8]) -> der::Result<Self> {
        let outer = AnyRef::from_der(bytes)?;
        let mut reader = der::SliceReader::new(outer.value())?;
        // Version and policy.
        AnyRef::decode(&mut reader)?;
        AnyRef::decode(&mut reader)?;
        let imprint = DigestInfo::decode(&mut reader)?;
        // The serial number.
        AnyRef::decode(&mut reader)?;
        Ok(Self { imprint, time: GeneralizedTime::decode(&mut reader)? })
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

/// Returns whether the attributes of a signer, which are sets by their context alone, stand in the order of DER.
fn attributes_are_sorted(signer: &[u8]) -> der::Result<bool> {
    let mut reader = der::SliceReader::new(signer)?;
    while !der::Reader::is_finished(&reader) {
        let part = der::asn1::AnyRef::decode(&mut reader)?;
        let is_set = matches!(der::Tagged::tag(&part), der::Tag::ContextSpecific { .. });
        if is_set && !is_sorted(part.value())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
}
