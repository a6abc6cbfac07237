//! Sections of registry entries.

use super::findings::Findings;
use super::text::Text;
use super::version::number;
use crate::inf::Section;

/// Bits of a value's flags beside its type: no clobber, delete, append, key only, overwrite only, keys of 64 and 32 bits.
const OTHER_FLAGS: u32 = 0x0000_f0fe;

/// The greatest high half of a type without the low bit: text, several texts, text with variables.
const TEXT_TYPE_MAX: u32 = 2;

/// What a section of registry entries belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A device, its hardware key, its interfaces.
    Device,
    /// A service.
    Service,
}

/// Checks a section that `AddReg` or `DelReg` names.
pub(super) fn check(section: &Section, owner: Owner, text: &Text, findings: &mut Findings) {
    for entry in &section.entries {
        // A key with `=` in it is no entry of the registry; the roots have none.
        let root = text.field(entry, 0).to_lowercase();
        let key = text.field(entry, 1).to_lowercase();
        let value = text.field(entry, 2).to_lowercase();
        match root.as_str() {
            "hkr" => {
                let below = key.trim_start_matches('\\');
                if owner == Owner::Service && below != "parameters" && !below.starts_with("parameters\\") {
                    let what = format!("the service writes to \"{key}\", outside of its Parameters");
                    findings.add(1323, entry.place(1), what);
                }
            }
            "hkcr" | "hkcu" | "hklm" | "hku" => {
                if root == "hklm" && key.replace('/', "\\").contains("currentcontrolset\\services") {
                    findings.add(
                        1221,
                        entry.place(1),
                        "the key of a service is written by HKR in the service's own section",
                    );
                }
                findings.add(
                    1320,
                    entry.place(0),
                    format!("{} is outside of the device and the driver", root.to_uppercase()),
                );
            }
            _ => findings.add(
                1222,
                entry.place(0),
                format!("\"{root}\" is no root of the registry: HKR, HKLM, HKCU, HKCR, HKU"),
            ),
        }
        if value == "coinstallers32" {
            findings.add(1303, entry.place(2), "it registers a co-installer, which Windows no longer runs");
        }
        let flags = text.field(entry, 3);
        if !flags.is_empty() && !is_type(flags.trim()) {
            findings.add(1222, entry.place(3), format!("\"{flags}\" is no type of a registry value"));
        }
    }
}

/// Returns whether flags have a type that there is: with the low bit any number above it, else one of three kinds of text.
fn is_type(flags: &str) -> bool {
    let number = number(flags);
    number
        .map(|number| number & !OTHER_FLAGS)
        .is_some_and(|kind| kind & 1 == 1 || kind >> 16 <= TEXT_TYPE_MAX && kind & 0xff00 == 0)
}
