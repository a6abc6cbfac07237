//! Catalogues: the hashes of a package's files, and what is said of them.

use std::collections::HashSet;
use std::time::Duration;

use der::asn1::{Any, BitString, BmpString, Null, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{DateTime, Decode, Encode, Sequence, Tag, TagNumber, ValueOrd};
use sha2::{Digest, Sha256};
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::{HashedFile, PackageError, Systems, oid};

/// What the flags of a name and its value are in every catalogue: an attribute that is signed and is text.
const TEXT_FLAGS: u32 = 0x1001_0001;

/// The number beside the subject's GUID in catalogues of version 1.
const SUBJECT_VERSION: u32 = 0x200;

/// The subject of an image in catalogues of version 1.
const IMAGE_GUID: &str = "{C689AAB8-8E78-11D0-8C47-00C04FC295EE}";

/// The subject of any other file in catalogues of version 1.
const FLAT_GUID: &str = "{DE351A42-8E59-11D0-8C47-00C04FC295EE}";

/// The name that Authenticode has where it once had one.
pub(crate) const OBSOLETE: &str = "<<<Obsolete>>>";

/// The name of a member's attribute with its file.
const FILE: &str = "File";

/// The name of a member's attribute with its systems.
const SYSTEMS: &str = "OSAttr";

/// The version of a catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// SHA-1 hashes: Windows 7 and later.
    V1,
    /// SHA-256 hashes, and SHA-1 hashes beside: Windows 8 and later.
    V2,
}

/// What of a file is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of an image what a signature does not change.
    Image,
    /// All bytes.
    Flat,
}

/// A name and its value, of a catalogue or of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameValue {
    /// The name: `OS`, `HWID1`, `File`.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A hash in a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The bytes by which it is found: of version 1 the hash's digits as UTF-16, of version 2 the hash.
    pub tag: Vec<u8>,
    /// What of the file is hashed, as far as it is said.
    pub kind: Option<Kind>,
    /// The hash in the data that a signature is checked by; a SHA-1 member of version 2 has none.
    pub hash: Option<Vec<u8>>,
    /// What is said of the file.
    pub attributes: Vec<NameValue>,
}

/// A catalogue's content: what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The version.
    pub version: Version,
    /// Sixteen bytes that tell this list from others.
    pub list_identifier: Vec<u8>,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The hashes, in the order of their tags.
    pub members: Vec<Member>,
    /// What is said of the whole package: `OS`, `HWID1`.
    pub attributes: Vec<NameValue>,
}

impl Catalog {
    /// Lists files. `hardware_ids` are those of the INF, in its order.
    ///
    /// The same input makes the same bytes: the list identifier follows from the files' hashes.
    #[must_use]
    pub fn new(version: Version, files: &[HashedFile], systems: &Systems, hardware_ids: &[String], made: u64) -> Self {
        let mut members: Vec<Member> = files.iter().flat_map(|file| members(version, file, systems)).collect();
        members.sort_by(|one, other| one.tag.cmp(&other.tag));
        // One file under two names has one hash.
        members.dedup_by(|one, other| one.tag == other.tag);
        let mut identity = Sha256::new();
        members.iter().for_each(|member| identity.update(&member.tag));
        let mut attributes = vec![NameValue { name: "OS".into(), value: systems.names.clone() }];
        let mut seen = HashSet::new();
        let known: Vec<String> =
            hardware_ids.iter().map(|id| id.to_lowercase()).filter(|id| seen.insert(id.clone())).collect();
        let numbered = known.into_iter().enumerate().rev();
        attributes.extend(numbered.map(|(index, value)| NameValue { name: format!("HWID{}", index + 1), value }));
        Self { version, list_identifier: identity.finalize()[..16].to_vec(), made, members, attributes }
    }

    /// Encodes it: the content that a signature covers, with its tag and length.
    ///
    /// # Errors
    /// [`PackageError::Text`] for a character that catalogues cannot hold, [`PackageError::Encoding`] for a time before 1950 or
    /// after 2049.
    pub fn to_der(&self) -> Result<Vec<u8>, PackageError> {
        let members = self.members.iter().map(|member| self.subject(member)).collect::<Result<Vec<_>, _>>()?;
        let extensions = self.attributes.iter().map(|attribute| {
            Ok(Extension { id: oid::NAME_VALUE, value: OctetString::new(attribute.text()?.to_der()?)? })
        });
        let list = TrustList {
            usage: vec![oid::CATALOG_LIST],
            list_identifier: OctetString::new(self.list_identifier.clone())?,
            this_update: UtcTime::from_unix_duration(Duration::from_secs(self.made))?,
            subject_algorithm: AlgorithmIdentifierOwned {
                oid: match self.version {
                    Version::V1 => oid::CATALOG_V1,
                    Version::V2 => oid::CATALOG_V2,
                },
                parameters: Some(Any::from(Null)),
            },
            members,
            extensions: Some(extensions.collect::<Result<_, PackageError>>()?),
        };
        Ok(list.to_der()?)
    }

    /// Reads a catalogue's content. `name` is the file's, for errors.
    ///
    /// # Errors
    /// [`PackageError::Catalog`] when it is none.
    pub(crate) fn from_der(name: &str, bytes: &[u8]) -> Result<Self, PackageError> {
        let wrong = |reason: String| PackageError::Catalog { name: name.into(), reason };
        let list = TrustList::from_der(bytes).map_err(|error| wrong(format!("its list is malformed: {error}")))?;
        let version = match list.subject_algorithm.oid {
            oid::CATALOG_V1 => Version::V1,
            oid::CATALOG_V2 => Version::V2,
            other => return Err(wrong(format!("its members are of the unknown kind {other}"))),
        };
        let malformed = |error: der::Error| wrong(format!("one of its members is malformed: {error}"));
        let members = list.members.iter().map(|subject| Member::read(subject, version).map_err(malformed));
        let attributes = list.extensions.iter().flatten().filter(|extension| extension.id == oid::NAME_VALUE);
        let attributes = attributes.map(|extension| {
            NameValueText::from_der(extension.value.as_bytes())
                .map(|text| text.read())
                .map_err(|error| wrong(format!("one of its attributes is malformed: {error}")))
        });
        Ok(Self {
            version,
            list_identifier: list.list_identifier.as_bytes().to_vec(),
            made: list.this_update.to_unix_duration().as_secs(),
            members: members.collect::<Result<_, _>>()?,
            attributes: attributes.collect::<Result<_, _>>()?,
        })
    }

    /// Returns when it was made, as `2026-11-22 00:00:00`.
    #[must_use]
    pub fn made_text(&self) -> String {
        DateTime::from_unix_duration(Duration::from_secs(self.made)).map_or_else(
            |_| format!("{} s after 1970", self.made),
            |time| time.to_string().replace('T', " ").replace('Z', ""),
        )
    }

    /// Returns the member with a file's hash.
    #[must_use]
    pub fn member_of(&self, file: &HashedFile) -> Option<&Member> {
        let tag = match self.version {
            Version::V1 => hex_tag(&file.sha1),
            Version::V2 => file.sha256.to_vec(),
        };
        // Its maker may have closed the digits of version 1 with a zero, or not.
        let without_zero = tag.strip_suffix(&[0, 0]).filter(|_| self.version == Version::V1);
        self.members.iter().find(|member| member.tag == tag || Some(&member.tag[..]) == without_zero)
    }

    fn subject(&self, member: &Member) -> Result<TrustedSubject, PackageError> {
        let mut attributes = vec![self.member_info(member.kind.unwrap_or(Kind::Flat))?];
        for attribute in &member.attributes {
            attributes.push(set(oid::NAME_VALUE, &attribute.text()?)?);
        }
        if let Some(hash) = &member.hash {
            let (algorithm, link) = match self.version {
                Version::V1 => (oid::SHA1, OBSOLETE),
                Version::V2 => (oid::SHA256, ""),
            };
            let kind = member.kind.unwrap_or(Kind::Flat);
            attributes.push(set(oid::INDIRECT_DATA, &IndirectData::new(kind, algorithm, hash, link)?)?);
        }
        Ok(TrustedSubject {
            identifier: OctetString::new(member.tag.clone())?,
            attributes: SetOfVec::from_iter(attributes)?,
        })
    }

    fn member_info(&self, kind: Kind) -> Result<Attribute, PackageError> {
        match (self.version, kind) {
            (Version::V1, kind) => {
                let guid = if kind == Kind::Image { IMAGE_GUID } else { FLAT_GUID };
                set(oid::MEMBER_INFO_V1, &MemberInfo { guid: bmp(guid)?, version: SUBJECT_VERSION })
            }
            (Version::V2, Kind::Image) => set(oid::MEMBER_INFO_V2, &context(0, false, Vec::new())?),
            (Version::V2, Kind::Flat) => set(oid::MEMBER_INFO_V2, &context(2, false, Vec::new())?),
        }
    }
}

impl Member {
    /// Returns the name of its file.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.value(FILE)
    }

    /// Returns the systems that it is for: `2:6.1,2:10.0`.
    #[must_use]
    pub fn systems(&self) -> Option<&str> {
        self.value(SYSTEMS)
    }

    /// Returns the hash that it is found by, as digits.
    #[must_use]
    pub fn tag_text(&self) -> String {
        if matches!(self.tag.len(), 20 | 32) {
            return self.tag.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        let units: Vec<u16> = self.tag.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        String::from_utf16_lossy(&units).trim_end_matches('\0').to_lowercase()
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|found| found.name.eq_ignore_ascii_case(name)).map(|found| found.value.as_str())
    }

    fn read(subject: &TrustedSubject, version: Version) -> der::Result<Self> {
        let mut member =
            Self { tag: subject.identifier.as_bytes().to_vec(), kind: None, hash: None, attributes: Vec::new() };
        for attribute in subject.attributes.iter() {
            let Some(value) = attribute.values.get(0) else { continue };
            match attribute.oid {
                oid::NAME_VALUE => member.attributes.push(value.decode_as::<NameValueText>()?.read()),
                oid::INDIRECT_DATA => {
                    let data = value.decode_as::<IndirectData>()?;
                    member.kind = data.kind().or(member.kind);
                    member.hash = Some(data.digest.digest.as_bytes().to_vec());
                }
                oid::MEMBER_INFO_V2 if version == Version::V2 && member.kind.is_none() => {
                    member.kind = match value.tag_number() {
                        Some(0) => Some(Kind::Image),
                        Some(2) => Some(Kind::Flat),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        Ok(member)
    }
}

impl NameValue {
    fn text(&self) -> Result<NameValueText, PackageError> {
        let mut value: Vec<u8> = self.value.encode_utf16().flat_map(u16::to_le_bytes).collect();
        value.extend([0, 0]);
        Ok(NameValueText { name: bmp(&self.name)?, flags: TEXT_FLAGS, value: OctetString::new(value)? })
    }
}

/// Returns a file's members: one of version 1, of version 2 one for each hash.
fn members(version: Version, file: &HashedFile, systems: &Systems) -> Vec<Member> {
    let attributes = vec![
        NameValue { name: SYSTEMS.into(), value: systems.versions.clone() },
        NameValue { name: FILE.into(), value: file.name.clone() },
    ];
    let member = |tag: Vec<u8>, hash: Option<Vec<u8>>| Member {
        tag,
        kind: Some(file.kind),
        hash,
        attributes: attributes.clone(),
    };
    match version {
        Version::V1 => vec![member(hex_tag(&file.sha1), Some(file.sha1.to_vec()))],
        Version::V2 => {
            vec![member(file.sha1.to_vec(), None), member(file.sha256.to_vec(), Some(file.sha256.to_vec()))]
        }
    }
}

/// Returns the tag of a member of version 1: the hash's digits as UTF-16, closed by a zero.
fn hex_tag(hash: &[u8]) -> Vec<u8> {
    let digits: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    digits.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A trust list: what Microsoft's CTL is of it in a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TrustList {
    usage: Vec<ObjectIdentifier>,
    list_identifier: OctetString,
    this_update: UtcTime,
    subject_algorithm: AlgorithmIdentifierOwned,
    members: Vec<TrustedSubject>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TrustedSubject {
    identifier: OctetString,
    attributes: SetOfVec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Extension {
    id: ObjectIdentifier,
    value: OctetString,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct NameValueText {
    name: BmpString,
    flags: u32,
    value: OctetString,
}

impl NameValueText {
    fn read(&self) -> NameValue {
        let units: Vec<u16> =
            self.value.as_bytes().chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        NameValue {
            name: self.name.chars().collect(),
            value: String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct MemberInfo {
    guid: BmpString,
    version: u32,
}

/// The hash of a file, with the way in which it is taken.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct IndirectData {
    data: TypedValue,
    pub(crate) digest: DigestInfo,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
struct TypedValue {
    oid: ObjectIdentifier,
    value: Any,
}

/// A hash and how it is made.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct DigestInfo {
    pub(crate) algorithm: AlgorithmIdentifierOwned,
    pub(crate) digest: OctetString,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct ImageData {
    flags: BitString,
    link: Any,
}

impl IndirectData {
    /// Describes a hash as catalogues do.
    fn new(kind: Kind, algorithm: ObjectIdentifier, hash: &[u8], link: &str) -> Result<Self, PackageError> {
        let link = link_to(link)?;
        let data = match kind {
            // The bits say that resources, imports and headers are hashed, which all readers disregard.
            Kind::Image => TypedValue {
                oid: oid::IMAGE_DATA,
                value: Any::encode_from(&ImageData {
                    flags: BitString::new(5, vec![0xa0])?,
                    link: context(0, true, link.to_der()?)?,
                })?,
            },
            Kind::Flat => TypedValue { oid: oid::FLAT_DATA, value: link },
        };
        Ok(Self { data, digest: DigestInfo::new(algorithm, hash)? })
    }

    /// Describes an image's hash as the signature in the image does.
    pub(crate) fn of_image(algorithm: ObjectIdentifier, hash: &[u8]) -> Result<Self, PackageError> {
        let link = context(0, true, link_to(OBSOLETE)?.to_der()?)?;
        let value = Any::encode_from(&ImageData { flags: BitString::new(0, Vec::new())?, link })?;
        Ok(Self { data: TypedValue { oid: oid::IMAGE_DATA, value }, digest: DigestInfo::new(algorithm, hash)? })
    }

    fn kind(&self) -> Option<Kind> {
        match self.data.oid {
            oid::IMAGE_DATA => Some(Kind::Image),
            oid::FLAT_DATA => Some(Kind::Flat),
            _ => None,
        }
    }
}

impl DigestInfo {
    fn new(algorithm: ObjectIdentifier, hash: &[u8]) -> Result<Self, PackageError> {
        let algorithm = AlgorithmIdentifierOwned { oid: algorithm, parameters: Some(Any::from(Null)) };
        Ok(Self { algorithm, digest: OctetString::new(hash)? })
    }
}

/// The third form of a link, a file, by its name.
fn link_to(name: &str) -> Result<Any, PackageError> {
    let name = context(0, false, bmp(name)?.as_bytes().to_vec())?;
    context(2, true, name.to_der()?)
}

/// A value of a choice that its context tells by a number.
fn context(number: u32, constructed: bool, content: Vec<u8>) -> Result<Any, PackageError> {
    Ok(Any::new(Tag::ContextSpecific { constructed, number: TagNumber(number) }, content)?)
}

fn bmp(text: &str) -> Result<BmpString, PackageError> {
    BmpString::from_utf8(text).map_err(|_| PackageError::Text { text: text.into() })
}

/// Makes an attribute with one value.
pub(crate) fn set(oid: ObjectIdentifier, value: &impl Encode) -> Result<Attribute, PackageError> {
    let value = Any::from_der(&value.to_der()?)?;
    Ok(Attribute { oid, values: SetOfVec::from_iter([value])? })
}

/// The number of a value that its context tells by one.
trait TagNumberOf {
    fn tag_number(&self) -> Option<u32>;
}

impl TagNumberOf for Any {
    fn tag_number(&self) -> Option<u32> {
        match der::Tagged::tag(self) {
            Tag::ContextSpecific { number, .. } => Some(number.0),
            _ => None,
        }
    }
}
