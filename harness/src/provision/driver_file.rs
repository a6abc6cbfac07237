//! Checks a driver image before anything is built or booted for it.

use std::path::{Path, PathBuf};

use object::read::pe::{ImageNtHeaders, PeFile, PeFile32, PeFile64};
use object::{FileKind, LittleEndian, pe};

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;

/// Why a file is no driver that the guest can host.
#[derive(Debug, thiserror::Error)]
pub enum DriverFileError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no PE image.
    #[error("{path} is no Windows driver image: {reason}", path = path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// It is for another processor.
    #[error("{path} is a driver for {machine}, and the guest is x86-64", path = path.display())]
    OtherMachine {
        /// The file.
        path: PathBuf,
        /// The processor that it is for.
        machine: String,
    },
}

impl Diagnosed for DriverFileError {
    fn class(&self) -> Class {
        match self {
            Self::File(error) => error.class(),
            Self::NoImage { .. } | Self::OtherMachine { .. } => Class::BadInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::File(error) => error.remedy(),
            Self::NoImage { .. } => {
                Some("name the .sys that the linker wrote, not its .pdb, .inf, object or archive".into())
            }
            Self::OtherMachine { .. } => Some("build the driver for x64".into()),
        }
    }
}

/// Checks a driver image.
///
/// # Errors
/// [`DriverFileError`] for a file that cannot be read, or is no image for the guest's processor.
pub fn check(path: &Path) -> Result<(), DriverFileError> {
    let file = std::fs::read(path).map_err(FileError::input(path))?;
    look(path, &file)
}

/// Writes the checksum of a driver image into its header, where a linker's `/RELEASE` writes it. Returns the checksum.
///
/// # Errors
/// [`DriverFileError`] for a file that cannot be read or written, or is no image for the guest's processor.
pub fn set_checksum(path: &Path) -> Result<u32, DriverFileError> {
    let mut file = std::fs::read(path).map_err(FileError::input(path))?;
    look(path, &file)?;
    let field = checksum_field(&file)
        .ok_or_else(|| DriverFileError::NoImage { path: path.into(), reason: "its headers leave the file".into() })?;
    let sum = driver_audit::image::checksum(&file);
    file[field..][..4].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, &file).map_err(FileError::own("write", path))?;
    Ok(sum)
}

/// Returns where `CheckSum` is: behind the signature, the file header and 64 bytes of the optional header.
fn checksum_field(file: &[u8]) -> Option<usize> {
    let signature = u32::from_le_bytes(file.get(0x3c..0x40)?.try_into().ok()?) as usize;
    let field = signature + 24 + 64;
    file.get(field..field + 4).map(|_| field)
}

fn look(path: &Path, file: &[u8]) -> Result<(), DriverFileError> {
    let no_image = |reason: &str| DriverFileError::NoImage { path: path.into(), reason: reason.into() };
    let machine = match FileKind::parse(file) {
        Ok(FileKind::Pe64) => machine_of(PeFile64::parse(file)),
        Ok(FileKind::Pe32) => machine_of(PeFile32::parse(file)),
        Ok(FileKind::Elf32 | FileKind::Elf64) => return Err(no_image("it is an ELF file, such as Linux has")),
        Ok(FileKind::Coff | FileKind::CoffBig) => return Err(no_image("it is an object file, and was never linked")),
        Ok(FileKind::Archive) => return Err(no_image("it is a library")),
        Ok(_) | Err(_) if file.is_empty() => return Err(no_image("it is empty")),
        Ok(_) | Err(_) => return Err(no_image("it does not begin as a PE file does (MZ, and PE where that points)")),
    };
    let machine = machine.map_err(|error| no_image(&error.to_string()))?;
    let name = match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => return Ok(()),
        pe::IMAGE_FILE_MACHINE_I386 => "32-bit x86".to_owned(),
        pe::IMAGE_FILE_MACHINE_ARM64 => "Arm64".to_owned(),
        other => format!("machine type {other:#x}"),
    };
    Err(DriverFileError::OtherMachine { path: path.into(), machine: name })
}

/// Returns `Machine` of the file header.
fn machine_of<P: ImageNtHeaders>(file: object::Result<PeFile<'_, P>>) -> object::Result<pe::Machine> {
    file.map(|file| file.nt_headers().file_header().machine.get(LittleEndian))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(file: &[u8]) -> String {
        look(Path::new("my.sys"), file).unwrap_err().to_string()
    }

    /// The least that passes for a PE file: DOS header, signature, file header, optional header without directories.
    fn image(machine: u16, optional_magic: u16) -> Vec<u8> {
        let mut file = vec![0; 0x40];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c] = 0x40;
        file.extend(b"PE\0\0");
        file.extend(machine.to_le_bytes());
        file.extend([0; 14]);
        file.extend(240_u16.to_le_bytes());
        file.extend([0; 2]);
        file.extend(optional_magic.to_le_bytes());
        file.resize(0x40 + 24 + 240, 0);
        file
    }

    #[test]
    fn refuses_an_image_for_another_processor_by_its_name() {
        assert!(refusal(&image(0x14c, 0x10b)).contains("a driver for 32-bit x86, and the guest is x86-64"));
        assert!(refusal(&image(0xaa64, 0x20b)).contains("Arm64"));
        assert!(refusal(&image(0x1c0, 0x20b)).contains("machine type 0x1c0"));
        assert!(look(Path::new("my.sys"), &image(0x8664, 0x20b)).is_ok());
    }

    #[test]
    fn sets_the_checksum_of_an_image_whatever_it_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.sys");
        let mut before = image(0x8664, 0x20b);
        before.push(7);
        let field = checksum_field(&before).unwrap();
        before[field..field + 4].copy_from_slice(&[0xff; 4]);
        std::fs::write(&path, &before).unwrap();
        let sum = set_checksum(&path).unwrap();
        let after = std::fs::read(&path).unwrap();
        assert_eq!(after[field..field + 4], sum.to_le_bytes());
        assert_eq!(driver_audit::image::checksum(&after), sum);
        assert_eq!((&after[..field], &after[field + 4..]), (&before[..field], &before[field + 4..]));
        std::fs::write(&path, b"MZ").unwrap();
        assert!(set_checksum(&path).is_err());
    }

    #[test]
    fn says_what_a_file_is_that_is_no_image() {
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(b"[Version]\r\nSignature=...").contains("does not begin as a PE file does"));
        assert!(refusal(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0").contains("ELF"));
        assert!(refusal(b"!<arch>\n        ").contains("library"));
        let cut = &image(0x8664, 0x20b)[..0x50];
        assert!(refusal(cut).contains("no Windows driver image"), "{}", refusal(cut));
    }
}
