//! The table of the hostile driver's faults, and how the driver is given one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use card_control::Transport;
use guest_protocol::{Installation, RegistryRoot, RegistryValue};
use serde::Deserialize;

use crate::host::file_error::FileError;

/// The diagnosis of a fault that the card must not find, because the specification allows it or QEMU keeps it from the card.
pub(super) const NONE: &str = "NONE";

/// The name of the run without a fault, which the others are compared with.
const NO_FAULT: &str = "none";

/// The path of the key, below the service's, that names the fault.
const PARAMETERS: &str = "Parameters";

/// `REG_SZ` and `REG_DWORD`.
const REG_SZ: u32 = 1;
const REG_DWORD: u32 = 4;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Its name in the driver's sources.
    pub name: String,
    /// The kind of fault.
    pub area: String,
    /// The fault, in words.
    pub fault: String,
    /// The diagnosis that the card must log first, or `NONE`.
    expected: String,
    /// The same over vfio-user, where it is another.
    vfio_user: Option<String>,
}

/// Why a table of faults cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no table of faults.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    fault: Vec<Fault>,
}

impl Fault {
    /// Returns the fault of a driver that does nothing wrong.
    pub(super) fn none() -> Self {
        Self {
            name: NO_FAULT.into(),
            area: String::new(),
            fault: "nothing is wrong".into(),
            expected: NONE.into(),
            vfio_user: None,
        }
    }

    /// Returns the diagnosis that the card must log first over a transport, or `NONE`.
    #[must_use]
    pub fn expected(&self, transport: Transport) -> &str {
        match transport {
            Transport::VhostUser => &self.expected,
            Transport::VfioUser => self.vfio_user.as_ref().unwrap_or(&self.expected),
        }
    }

    /// Tells whether its area, its name or its words contain a text.
    #[must_use]
    pub fn is_named(&self, text: &str) -> bool {
        [&self.area, &self.name, &self.fault].into_iter().any(|part| part.contains(text))
    }
}

/// Returns the path of the table in the driver's folder.
#[must_use]
pub fn table_of(source: &Path) -> PathBuf {
    source.join("faults.toml")
}

/// Returns the path of the INF in the driver's folder.
pub(super) fn inf_of(source: &Path) -> PathBuf {
    source.join("hostile.inf")
}

/// Reads a table of faults.
///
/// # Errors
/// [`FaultError::File`] where it cannot be read, [`FaultError::Malformed`] where it is no table, or has a name twice.
pub fn read(path: &Path) -> Result<Vec<Fault>, FaultError> {
    let text = fs::read_to_string(path).map_err(FileError::input(path))?;
    parse(&text).map_err(|reason| FaultError::Malformed { path: path.into(), reason })
}

fn parse(text: &str) -> Result<Vec<Fault>, String> {
    let table: Table = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut names = BTreeSet::new();
    match table.fault.iter().find(|fault| !names.insert(&fault.name)) {
        Some(fault) => Err(format!("there are two faults {}", fault.name)),
        None => Ok(table.fault),
    }
}

/// Writes a fault, and the instant of an act in mid-stream, into the service's key of an installation.
pub(super) fn choose(installation: &mut Installation, fault: &str, instant: u32, delay_us: u32) {
    let text: Vec<u8> = fault.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let values = [
        ("Fault", REG_SZ, text),
        ("Instant", REG_DWORD, instant.to_le_bytes().into()),
        ("Delay", REG_DWORD, delay_us.to_le_bytes().into()),
    ];
    let keys = installation.installs.iter_mut().flat_map(|install| &mut install.keys);
    for key in keys.filter(|key| key.root == RegistryRoot::Service && key.path == PARAMETERS) {
        key.values = values
            .iter()
            .map(|(name, kind, data)| RegistryValue { name: (*name).into(), kind: *kind, data: data.clone() })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::inf;

    /// Faults from inside the guest that the card must survive, at least.
    const FAULTS_MIN: usize = 60;

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-driver/fixture/drivers/hostile")
    }

    #[test]
    fn the_shipped_table_has_the_kinds_of_faults_that_drivers_make() {
        let faults = read(&table_of(&shipped())).unwrap();
        assert!(faults.len() >= FAULTS_MIN, "{}", faults.len());
        let areas: BTreeSet<&str> = faults.iter().map(|fault| fault.area.as_str()).collect();
        for area in [
            "ring addresses",
            "ring sizes and alignment",
            "features",
            "order of set-up",
            "withheld buffers",
            "chains and DMA",
            "resets at random instants",
            "PCI function",
            "MSI-X",
        ] {
            assert!(areas.contains(area), "{area}");
        }
    }

    #[test]
    fn a_table_names_each_fault_once() {
        let one = "[[fault]]\nname = 'a'\narea = 'x'\nfault = 'y'\nexpected = 'NONE'\nvfio_user = 'LENGTH (wave)'\n";
        let faults = parse(one).unwrap();
        assert_eq!(faults[0].expected(Transport::VhostUser), NONE);
        assert_eq!(faults[0].expected(Transport::VfioUser), "LENGTH (wave)");
        assert!(faults[0].is_named("x") && !faults[0].is_named("z"));
        assert!(parse(&one.repeat(2)).unwrap_err().contains("two faults a"));
        assert!(parse(&one.replace("area", "aria")).unwrap_err().contains("aria"));
    }

    #[test]
    fn the_driver_finds_its_fault_in_its_service_s_key() {
        let mut installation = inf::read(&inf_of(&shipped())).unwrap().installation;
        choose(&mut installation, "bars_moved", 7, 100);
        let keys = &installation.installs[0].keys;
        let key = keys.iter().find(|key| key.path == PARAMETERS && key.root == RegistryRoot::Service).unwrap();
        let value = |name: &str| key.values.iter().find(|value| value.name == name).unwrap();
        assert_eq!(value("Fault").data.len(), 2 * "bars_moved".len() + 2);
        assert_eq!(value("Instant").data, [7, 0, 0, 0]);
        assert_eq!(value("Delay").kind, REG_DWORD);
    }
}
