//! The systems that catalogues name.

/// An architecture that packages are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 32-bit x86.
    X86,
    /// 64-bit x86.
    X64,
    /// 64-bit Arm.
    Arm64,
}

/// The systems that a package is for, as catalogues have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systems {
    /// Of each member: `2:6.1,2:10.0`.
    pub versions: String,
    /// Of the whole: `7X64,8X64,_v63_X64,_v100_X64`.
    pub names: String,
}

/// A Windows: its version, and its names for x86, x64 and Arm64, where there is one.
type Named = ((u32, u32), [Option<&'static str>; 3]);

/// The systems, the oldest first. Version and names stand in public catalogues and in the sources of their makers.
const SYSTEMS: [Named; 7] = [
    ((5, 1), [Some("XPX86"), None, None]),
    ((5, 2), [None, Some("XPX64"), None]),
    ((6, 0), [Some("VistaX86"), Some("VistaX64"), None]),
    ((6, 1), [Some("7X86"), Some("7X64"), None]),
    ((6, 2), [Some("8X86"), Some("8X64"), None]),
    ((6, 3), [Some("_v63"), Some("_v63_X64"), None]),
    ((10, 0), [Some("_v100"), Some("_v100_X64"), Some("_v100_ARM64")]),
];

impl Architecture {
    /// Every architecture.
    pub const ALL: [Self; 3] = [Self::X86, Self::X64, Self::Arm64];

    /// Returns the name that folders and options have.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns the oldest Windows of the architecture: major and minor.
    #[must_use]
    pub const fn oldest(self) -> (u32, u32) {
        match self {
            Self::X86 => (5, 0),
            Self::X64 => (5, 2),
            Self::Arm64 => (10, 0),
        }
    }

    /// Returns the architecture of a decoration of an INF's section, with or without `nt` before it; none for one that is not
    /// known here.
    #[must_use]
    pub fn of_decoration(text: &str) -> Option<Self> {
        match text.to_lowercase().trim_start_matches("nt") {
            "x86" => Some(Self::X86),
            "amd64" => Some(Self::X64),
            "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl Systems {
    /// Returns all systems of an architecture from an oldest one on: major and minor version.
    #[must_use]
    pub fn since(architecture: Architecture, oldest: (u32, u32)) -> Self {
        let index = Architecture::ALL.iter().position(|known| *known == architecture).unwrap_or_default();
        let chosen = SYSTEMS.iter().filter(|(version, _)| *version >= oldest);
        let chosen: Vec<_> = chosen.filter_map(|(version, names)| names[index].map(|name| (version, name))).collect();
        let versions: Vec<_> = chosen.iter().map(|((major, minor), _)| format!("2:{major}.{minor}")).collect();
        let names: Vec<_> = chosen.iter().map(|(_, name)| *name).collect();
        Self { versions: versions.join(","), names: names.join(",") }
    }
}
