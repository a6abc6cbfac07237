//! Driver images: the parts that a signature covers, and the signature's place.

use der::Encode as _;
use object::LittleEndian as LE;
use object::pe::{IMAGE_DIRECTORY_ENTRY_SECURITY, ImageDosHeader, ImageNtHeaders32, ImageNtHeaders64};
use object::read::pe::ImageNtHeaders;
use sha2::Digest;

use crate::PackageError;

/// The place of the checksum in the optional header, in bytes from its begin.
const CHECKSUM_OFFSET: usize = 64;

/// The size of the checksum, in bytes.
const CHECKSUM_SIZE: usize = 4;

/// The size of an entry of the data directories, in bytes.
const DIRECTORY_SIZE: usize = 8;

/// The size of what stands before a certificate, in bytes: length, revision, type.
const TABLE_HEADER_SIZE: usize = 8;

/// The revision of a certificate's entry.
const WIN_CERT_REVISION: u16 = 0x0200;

/// The type of an entry with signed data of PKCS #7.
const WIN_CERT_TYPE_PKCS_SIGNED_DATA: u16 = 2;

/// What the certificate table is aligned to, in bytes.
pub(crate) const TABLE_ALIGNMENT: usize = 8;

/// An image in the Portable Executable format.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    pub(crate) bytes: &'a [u8],
    /// The place of the checksum in the file.
    pub(crate) checksum: usize,
    /// The place of the directory entry that names the certificate table.
    pub(crate) directory: usize,
    /// The begin of the certificate table, which is the end of the file without one.
    pub(crate) table: usize,
}

impl<'a> Image<'a> {
    /// Reads an image's headers. `name` is the file's, for errors.
    ///
    /// # Errors
    /// [`PackageError::Image`] when the file is no image, or has something behind its certificate table, which no signature covers.
    pub fn read(name: &str, bytes: &'a [u8]) -> Result<Self, PackageError> {
        let wrong = |reason: &str| PackageError::Image { name: name.into(), reason: reason.into() };
        let malformed = |error: object::Error| wrong(&error.to_string());
        let dos = ImageDosHeader::parse(bytes).map_err(malformed)?;
        let begin = dos.nt_headers_offset() as usize;
        let wide = match object::read::pe::optional_header_magic(bytes).map_err(malformed)? {
            object::pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => true,
            object::pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC => false,
            other => return Err(wrong(&format!("its optional header has the unknown magic {other:#x}"))),
        };
        let (header, security) = if wide {
            header::<ImageNtHeaders64>(bytes).map_err(malformed)?
        } else {
            header::<ImageNtHeaders32>(bytes).map_err(malformed)?
        };
        let Some((table, size)) = security else {
            return Err(wrong("its optional header has no entry for a certificate table"));
        };
        let optional = begin + 24;
        let directory = optional + header + IMAGE_DIRECTORY_ENTRY_SECURITY * DIRECTORY_SIZE;
        let checksum = optional + CHECKSUM_OFFSET;
        let table = match (table as usize, size as usize) {
            (_, 0) => bytes.len(),
            (table, size) if table.checked_add(size) == Some(bytes.len()) && table >= directory + DIRECTORY_SIZE => {
                table
            }
            (table, size) => {
                let reason = format!(
                    "its certificate table is said to have {size} bytes from {table:#x}, which is not the end of the file of {} bytes",
                    bytes.len()
                );
                return Err(wrong(&reason));
            }
        };
        Ok(Self { bytes, checksum, directory, table })
    }

    /// Hashes what a signature covers: all but the checksum, the certificate table and the entry that names it, as if the image
    /// ended at a multiple of eight bytes.
    #[must_use]
    pub fn hash<D: Digest>(&self) -> Vec<u8> {
        let mut hash = D::new();
        hash.update(&self.bytes[..self.checksum]);
        hash.update(&self.bytes[self.checksum + CHECKSUM_SIZE..self.directory]);
        hash.update(&self.bytes[self.directory + DIRECTORY_SIZE..self.table]);
        hash.update(&[0; TABLE_ALIGNMENT][..self.table.next_multiple_of(TABLE_ALIGNMENT) - self.table]);
        hash.finalize().to_vec()
    }

    /// Returns the image with another certificate table, or with none, and the checksum that follows.
    ///
    /// # Errors
    /// [`PackageError::Image`] when the table would be beyond the 4 GiB that its entry can name.
    pub(crate) fn with_table(&self, name: &str, certificate: Option<&[u8]>) -> Result<Vec<u8>, PackageError> {
        let mut bytes = self.bytes[..self.table].to_vec();
        let mut entry = [0; DIRECTORY_SIZE];
        if let Some(certificate) = certificate {
            bytes.resize(self.table.next_multiple_of(TABLE_ALIGNMENT), 0);
            let size = (TABLE_HEADER_SIZE + certificate.len()).next_multiple_of(TABLE_ALIGNMENT);
            let (Ok(place), Ok(length)) = (u32::try_from(bytes.len()), u32::try_from(size)) else {
                return Err(PackageError::Image { name: name.into(), reason: "it is larger than 4 GiB".into() });
            };
            entry[..4].copy_from_slice(&place.to_le_bytes());
            entry[4..].copy_from_slice(&length.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            bytes.extend(WIN_CERT_REVISION.to_le_bytes());
            bytes.extend(WIN_CERT_TYPE_PKCS_SIGNED_DATA.to_le_bytes());
            bytes.extend(certificate);
            bytes.resize(place as usize + size, 0);
        }
        bytes[self.directory..self.directory + DIRECTORY_SIZE].copy_from_slice(&entry);
        let sum = driver_audit::image::checksum(&bytes);
        bytes[self.checksum..self.checksum + CHECKSUM_SIZE].copy_from_slice(&sum.to_le_bytes());
        Ok(bytes)
    }

    /// Returns the signature in the first entry of the certificate table, without padding.
    pub(crate) fn signature(&self) -> Option<&'a [u8]> {
        let table = self.certificates();
        let length = u32::from_le_bytes(table.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_le_bytes(table.get(6..8)?.try_into().ok()?);
        let entry = table.get(TABLE_HEADER_SIZE..length)?;
        // Padding is part of the entry for some writers; the encoding says where it ends.
        let header = der::Header::peek(&der::SliceReader::new(entry).ok()?).ok()?;
        let encoded = (header.encoded_len().ok()? + header.length()).ok()?;
        (kind == WIN_CERT_TYPE_PKCS_SIGNED_DATA).then(|| entry.get(..usize::try_from(encoded).ok()?)).flatten()
    }

    /// Returns whether the image has a certificate table.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.table < self.bytes.len()
    }

    /// Returns the certificate table.
    #[must_use]
    pub fn certificates(&self) -> &'a [u8] {
        &self.bytes[self.table..]
    }
}

/// Returns the place of the data directories in an optional header, and the certificate table's begin and size.
fn header<H: ImageNtHeaders>(bytes: &[u8]) -> object::Result<(usize, Option<(u32, u32)>)> {
    let mut offset = u64::from(ImageDosHeader::parse(bytes)?.nt_headers_offset());
    let (headers, directories) = H::parse(bytes, &mut offset)?;
    let place = size_of_val(headers.optional_header());
    let entry = directories.iter().nth(IMAGE_DIRECTORY_ENTRY_SECURITY);
    Ok((place, entry.map(|entry| (entry.virtual_address.get(LE), entry.size.get(LE)))))
}
