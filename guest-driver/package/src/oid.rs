//! Object identifiers of Microsoft's and of PKCS #7.

use der::asn1::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// Signed data of PKCS #7.
pub(crate) const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
/// The signed attribute that names the type of what is signed.
pub(crate) const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
/// The signed attribute with the hash of what is signed.
pub(crate) const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
/// The signed attribute with the time.
pub(crate) const SIGNING_TIME: ObjectIdentifier = oid("1.2.840.113549.1.9.5");
/// A counter-signature that tells the time, in an unsigned attribute.
pub(crate) const COUNTER_SIGNATURE: ObjectIdentifier = oid("1.2.840.113549.1.9.6");
/// RSA with PKCS #1 version 1.5.
pub(crate) const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
/// RSA with PKCS #1 version 1.5 over SHA-1, as certificates name it.
pub(crate) const RSA_SHA1: ObjectIdentifier = oid("1.2.840.113549.1.1.5");
/// The same over SHA-256.
pub(crate) const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
/// The same over SHA-384.
pub(crate) const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
/// The same over SHA-512.
pub(crate) const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
/// SHA-1.
pub(crate) const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
/// SHA-256.
pub(crate) const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");

/// SHA-384.
pub(crate) const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
/// SHA-512.
pub(crate) const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
/// The usage of a certificate that signs code.
pub(crate) const CODE_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.3");

/// A trust list, the content of a catalogue.
pub(crate) const TRUST_LIST: ObjectIdentifier = oid("1.3.6.1.4.1.311.10.1");
/// The usage of a catalogue's trust list.
pub(crate) const CATALOG_LIST: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.1.1");
/// The members of a catalogue of version 1.
pub(crate) const CATALOG_V1: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.1.2");
/// The members of a catalogue of version 2.
pub(crate) const CATALOG_V2: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.1.3");
/// A name and its value, of a catalogue or of a member.
pub(crate) const NAME_VALUE: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.2.1");
/// How a member of version 1 is hashed.
pub(crate) const MEMBER_INFO_V1: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.2.2");
/// How a member of version 2 is hashed.
pub(crate) const MEMBER_INFO_V2: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.2.3");
/// The hash of a file, with the way in which it is taken.
pub(crate) const INDIRECT_DATA: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.4");
/// The signed attribute that says for whom code was signed.
pub(crate) const STATEMENT_TYPE: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.11");
/// The signed attribute with the name and address of what is signed.
pub(crate) const OPUS_INFO: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.12");
/// The hash of an image, of which it leaves out what a signature changes.
pub(crate) const IMAGE_DATA: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.15");
/// Code that one person or firm signs for itself.
pub(crate) const INDIVIDUAL_CODE_SIGNING: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.21");
/// The hash of all bytes of a file.
pub(crate) const FLAT_DATA: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.25");
/// A time stamp by RFC 3161, in an unsigned attribute.
pub(crate) const TIME_STAMP: ObjectIdentifier = oid("1.3.6.1.4.1.311.3.3.1");
