//! What a disc is: a Windows by the images or the marks on it, or ReactOS.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disc::{Disc, DiscError, DiscFile};
use super::iso9660::Iso9660;
use super::udf::Udf;
use super::wim::{self, Architecture, WimImage};
use crate::host::failure::{Class, Diagnosed};

/// The files with images, on discs of Windows Vista and later.
const IMAGES: [&str; 2] = ["install.wim", "install.esd"];

/// The files that mark older discs (the same by which their own set-up finds them), newest first.
const MARKS: [(&str, Family); 6] = [
    ("WIN51AP", Family::Xp64),
    ("WIN51IP", Family::Xp),
    ("WIN51IC", Family::Xp),
    ("WIN51IS", Family::Server2003),
    ("WIN51IA", Family::Server2003),
    ("CDROM_NT.5", Family::Windows2000),
];

/// Bytes of the disc that its fingerprint covers, beside its length: volume descriptors and boot catalogue.
const FINGERPRINT_BYTES: u64 = 64 << 10;

/// A Windows, as its set-up distinguishes them, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Windows 2000.
    Windows2000,
    /// Windows XP.
    Xp,
    /// Windows XP for 64 bit.
    Xp64,
    /// Windows Server 2003.
    Server2003,
    /// Windows Vista or Server 2008.
    Vista,
    /// Windows 7 or Server 2008 R2.
    Seven,
    /// Windows 8 or Server 2012.
    Eight,
    /// Windows 8.1 or Server 2012 R2.
    EightOne,
    /// Windows 10, or Server 2016 or 2019.
    Ten,
    /// Windows 11, or Server 2022 or 2025.
    Eleven,
}

impl Family {
    /// Returns the family of a build ("Windows versions", the table of builds in Microsoft's release information).
    #[must_use]
    pub const fn of(build: u32, server: bool) -> Option<Self> {
        match build {
            6000..=6003 => Some(Self::Vista),
            7600..=7601 => Some(Self::Seven),
            9200 => Some(Self::Eight),
            9600 => Some(Self::EightOne),
            20348..=20349 if server => Some(Self::Eleven),
            10240..=19045 => Some(Self::Ten),
            22000..=29999 => Some(Self::Eleven),
            _ => None,
        }
    }

    /// Returns its name for people.
    #[must_use]
    pub const fn name(self, server: bool) -> &'static str {
        match (self, server) {
            (Self::Windows2000, _) => "Windows 2000",
            (Self::Xp, _) => "Windows XP",
            (Self::Xp64, _) => "Windows XP for 64 bit",
            (Self::Server2003, _) => "Windows Server 2003",
            (Self::Vista, false) => "Windows Vista",
            (Self::Vista, true) => "Windows Server 2008",
            (Self::Seven, false) => "Windows 7",
            (Self::Seven, true) => "Windows Server 2008 R2",
            (Self::Eight, false) => "Windows 8",
            (Self::Eight, true) => "Windows Server 2012",
            (Self::EightOne, false) => "Windows 8.1",
            (Self::EightOne, true) => "Windows Server 2012 R2",
            (Self::Ten, false) => "Windows 10",
            (Self::Ten, true) => "Windows Server 2016 or 2019",
            (Self::Eleven, false) => "Windows 11",
            (Self::Eleven, true) => "Windows Server 2022 or 2025",
        }
    }
}

/// What a disc installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Windows Vista or later, with its images.
    Windows(Vec<WimImage>),
    /// An older Windows.
    OldWindows(Family),
    /// ReactOS.
    ReactOs,
}

/// How a disc starts machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootWays {
    /// With a BIOS.
    pub bios: bool,
    /// With UEFI.
    pub uefi: bool,
}

/// An installation disc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The volume's name.
    pub volume: String,
    /// What it installs.
    pub kind: MediaKind,
    /// How it starts machines.
    pub boots: BootWays,
    /// Its length in bytes.
    pub bytes: u64,
    /// A hash of its length, its first 64 KiB and the names of its images, by which a build that goes on recognises its disc.
    pub fingerprint: String,
}

/// Why a file is no installation disc.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// It could not be read, or contradicts itself.
    #[error("{path} cannot be read as a disc: {source}", path = path.display())]
    Disc {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: DiscError,
    },
    /// It is no disc.
    #[error("{path} is no disc: it has neither an ISO 9660 volume nor a UDF volume", path = path.display())]
    NoDisc {
        /// The file.
        path: PathBuf,
    },
    /// It is a disc of something else.
    #[error(
        "{path} (volume {volume:?}) is no installation disc that is known: it has no sources/install.wim or .esd, none of the marks of Windows 2000 to \
         Server 2003, and no reactos folder",
        path = path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The volume's name.
        volume: String,
    },
    /// It holds Windows for two architectures, each with images of its own.
    #[error("{path} holds Windows for x86 and x64 at once, in folders of their own", path = path.display())]
    TwoArchitectures {
        /// The file.
        path: PathBuf,
    },
    /// Its images are in several files.
    #[error("{path} has its images in parts (install.swm)", path = path.display())]
    Split {
        /// The file.
        path: PathBuf,
    },
}

impl Diagnosed for MediaError {
    fn class(&self) -> Class {
        match self {
            Self::Disc { source: DiscError::File(error), .. } => error.class(),
            _ => Class::BadInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Disc { source: DiscError::File(error), .. } => {
                error.remedy().unwrap_or_else(|| "name the file of an installation disc".into())
            }
            Self::Disc { .. } => "fetch the file again and compare its SHA-256 with the publisher's".into(),
            Self::NoDisc { .. } | Self::Unknown { .. } => {
                "name the ISO file of Windows 7 to 11, of a Windows Server from 2008 R2, or of ReactOS, as its publisher has it".into()
            }
            Self::TwoArchitectures { .. } => "name a disc for one architecture".into(),
            Self::Split { .. } => "name the disc as its publisher has it, with one install.wim or install.esd".into(),
        })
    }
}

/// The file systems of a disc.
struct Volumes {
    disc: Disc,
    iso: Option<Iso9660>,
    udf: Option<Udf>,
}

impl Volumes {
    /// Finds a file: by UDF, where that has it, because the other side of such a disc is only a note.
    fn find(&self, path: &[&str]) -> Result<Option<DiscFile>, DiscError> {
        if let Some(udf) = &self.udf
            && let Some(file) = udf.find(&self.disc, path)?
        {
            return Ok(Some(file));
        }
        self.iso.as_ref().map_or(Ok(None), |iso| iso.find(&self.disc, path))
    }

    fn has(&self, path: &[&str]) -> Result<bool, DiscError> {
        Ok(self.find(path)?.is_some())
    }
}

impl Media {
    /// Identifies an installation disc.
    ///
    /// # Errors
    /// [`MediaError`] for a file that cannot be read, is no disc, or is one that nothing here installs.
    pub fn identify(path: &Path) -> Result<Self, MediaError> {
        let failed = |source| MediaError::Disc { path: path.into(), source };
        let disc = Disc::open(path).map_err(failed)?;
        let iso = Iso9660::read(&disc).map_err(failed)?;
        let udf = Udf::read(&disc).map_err(failed)?;
        if iso.is_none() && udf.is_none() {
            return Err(MediaError::NoDisc { path: path.into() });
        }
        let volumes = Volumes { disc, iso, udf };
        let volume = volumes.iso.as_ref().map(|iso| iso.name.clone()).unwrap_or_default();
        let kind = kind(&volumes).map_err(failed)?;
        let Some(kind) = kind else {
            for (folder, error) in [
                (["x64", "sources"], MediaError::TwoArchitectures { path: path.into() }),
                (["sources", "install.swm"], MediaError::Split { path: path.into() }),
            ] {
                if volumes.has(&folder).map_err(failed)? {
                    return Err(error);
                }
            }
            return Err(MediaError::Unknown { path: path.into(), volume });
        };
        let boots = volumes.iso.as_ref().map(|iso| BootWays { bios: iso.bios, uefi: iso.uefi }).unwrap_or_default();
        let fingerprint = fingerprint(&volumes.disc, &kind).map_err(failed)?;
        Ok(Self { volume, kind, boots, bytes: volumes.disc.bytes(), fingerprint })
    }
}

fn kind(volumes: &Volumes) -> Result<Option<MediaKind>, DiscError> {
    for name in IMAGES {
        if let Some(file) = volumes.find(&["sources", name])? {
            return Ok(Some(MediaKind::Windows(wim::images(&volumes.disc, &file)?)));
        }
    }
    for name in ["reactos.inf", "unattend.inf"] {
        if volumes.has(&["reactos", name])? {
            return Ok(Some(MediaKind::ReactOs));
        }
    }
    for (mark, family) in MARKS {
        if volumes.has(&[mark])? {
            return Ok(Some(MediaKind::OldWindows(family)));
        }
    }
    Ok(None)
}

fn fingerprint(disc: &Disc, kind: &MediaKind) -> Result<String, DiscError> {
    let mut hash = Sha256::new();
    hash.update(disc.bytes().to_le_bytes());
    hash.update(disc.read("the beginning", 0, disc.bytes().min(FINGERPRINT_BYTES))?);
    if let MediaKind::Windows(images) = kind {
        images.iter().for_each(|image| hash.update(image.name.as_bytes()));
    }
    Ok(hex::encode(hash.finalize()))
}

/// Says what the disc is, a line.
impl fmt::Display for Media {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MediaKind::Windows(images) => match images.first() {
                Some(first) => {
                    let family =
                        Family::of(first.build, first.server).map_or("an unknown Windows", |it| it.name(first.server));
                    write!(out, "{family}, build {}, {}", first.build, bits(first.architecture))?;
                    write!(out, ", {} edition{}", images.len(), if images.len() == 1 { "" } else { "s" })?;
                }
                None => write!(out, "a Windows without an edition")?,
            },
            MediaKind::OldWindows(family) => write!(out, "{}", family.name(false))?,
            MediaKind::ReactOs => write!(out, "ReactOS")?,
        }
        let ways = match (self.boots.bios, self.boots.uefi) {
            (true, true) => "starts with BIOS and UEFI",
            (true, false) => "starts with BIOS",
            (false, true) => "starts with UEFI",
            (false, false) => "starts no machine",
        };
        write!(out, "; volume {:?}; {ways}", self.volume)
    }
}

fn bits(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86 => "32 bit",
        Architecture::Amd64 => "64 bit",
        Architecture::Arm64 => "ARM64",
    }
}
