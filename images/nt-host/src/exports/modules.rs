//! The modules that drivers import from, each with its public names.
//!
//! A module exports what its list in `imports/modules/` names and this guest has. Where a component declares a function
//! does not matter: a name of two lists is exported by both modules.

use crate::contract::export::Absent;

/// A module, by its name in lower case.
pub(super) struct Module {
    /// The name.
    pub(super) name: &'static str,
    /// The list: a name a line; comments begin with `#`.
    list: &'static str,
}

/// Declares the modules with their lists.
macro_rules! modules {
    ($($constant:ident = $name:literal;)+) => {
        $(pub(super) const $constant: &str = $name;)+

        static MODULES: &[Module] =
            &[$(Module { name: $name, list: include_str!(concat!("../../imports/modules/", $name, ".txt")) },)+];
    };
}

modules! {
    KERNEL = "ntoskrnl.exe";
    HAL = "hal.dll";
    KS = "ks.sys";
    DRMK = "drmk.sys";
    WMILIB = "wmilib.sys";
    WDFLDR = "wdfldr.sys";
    WPP_RECORDER = "wpprecorder.sys";
    PORTCLS = "portcls.sys";
}

impl Module {
    /// Returns whether the module exports a name on Windows.
    pub(super) fn names(&self, name: &str) -> bool {
        self.list.lines().any(|line| line == name)
    }
}

/// Returns the module of a name in lower case.
pub(super) fn of(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.name == name)
}

/// Says why an import is not bound: `module` is in lower case.
pub(super) fn absent(module: &str, name: &str) -> Absent {
    let Some(asked) = of(module) else { return Absent::NoModule };
    if asked.names(name) {
        return Absent::NotHere;
    }
    let exporter = MODULES.iter().find(|other| other.names(name));
    exporter.map_or(Absent::Unlisted, |exporter| Absent::ExportedBy(exporter.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_exports_its_own_names() {
        let exports = |module, name| of(module).unwrap().names(name);
        assert!(exports(KERNEL, "KeSetEvent") && !exports(HAL, "KeSetEvent"));
        assert!(exports(HAL, "KeStallExecutionProcessor") && !exports(KERNEL, "KeStallExecutionProcessor"));
        assert!(exports(HAL, "IoReadPartitionTable") && exports(KERNEL, "IoReadPartitionTable"));
        assert!(exports(DRMK, "DrmGetContentRights") && exports(PORTCLS, "PcGetContentRights"));
        assert!(!exports(KERNEL, "# ") && !exports(KERNEL, ""));
    }

    #[test]
    fn says_why_an_import_is_absent() {
        assert_eq!(absent(HAL, "ExFreePoolWithTag"), Absent::ExportedBy(KERNEL));
        assert_eq!(absent(KERNEL, "HalGetAdapter"), Absent::ExportedBy(HAL));
        assert_eq!(absent(KS, "PcNewPort"), Absent::ExportedBy(PORTCLS));
        assert_eq!(absent(HAL, "HalGetAdapter"), Absent::NotHere);
        assert_eq!(absent(KERNEL, "MyOwnFunction"), Absent::Unlisted);
        assert_eq!(absent("usbd.sys", "USBD_GetUSBDIVersion"), Absent::NoModule);
    }
}
