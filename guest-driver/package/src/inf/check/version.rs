//! The section `[Version]`.

use super::findings::Findings;
use super::known::CLASSES;
use super::text::Text;
use crate::inf::{Entry, File, Section};

/// Most values of the entries of `[Version]`, by key.
const VALUES_MAX: &[(&str, usize)] = &[
    ("signature", 1),
    ("class", 1),
    ("classguid", 1),
    ("provider", 1),
    ("driverver", 2),
    ("pnplockdown", 1),
    ("extensionid", 1),
];

/// Returns whether the file is an INF of Windows NT.
pub(super) fn signature(file: &File, findings: &mut Findings) -> bool {
    let Some(version) = file.section("version") else {
        findings.add(1001, (1, 1), "there is no section [Version]");
        return false;
    };
    let signature = entry(version, "signature");
    let text = signature.and_then(|entry| entry.field(0)).unwrap_or_default();
    if text.eq_ignore_ascii_case("$windows nt$") {
        return true;
    }
    let place = signature.map_or((version.line, 1), |entry| entry.place(0));
    findings.add(1001, place, format!("Signature is \"{text}\", not \"$Windows NT$\""));
    // One for all Windows of old is read like it.
    text.eq_ignore_ascii_case("$chicago$") || text.eq_ignore_ascii_case("$windows 95$")
}

/// Checks what the section says of provider, class, date and catalogue.
pub(super) fn check(file: &File, text: &Text, findings: &mut Findings) {
    let Some(version) = file.section("version") else { return };
    let here = (version.line, 1);
    for entry in &version.entries {
        let key = entry.key.as_deref().unwrap_or_default().to_lowercase();
        if let Some((_, most)) = VALUES_MAX.iter().find(|(name, _)| *name == key)
            && entry.fields.len() > *most
        {
            findings.add(
                1201,
                entry.place(*most),
                format!("{key} takes {most} values, and has {}", entry.fields.len()),
            );
        }
        if key == "catalogfile" || key.starts_with("catalogfile.") {
            let name = text.field(entry, 0);
            if !name.to_lowercase().ends_with(".cat") || name.contains(['\\', '/']) {
                findings.add(
                    1213,
                    entry.place(0),
                    format!("the catalogue \"{name}\" is no file name that ends with .cat"),
                );
            }
        }
    }
    for (name, code) in [("class", 1234), ("classguid", 1234), ("provider", 1234)] {
        match entry(version, name) {
            None => findings.add(code, here, format!("[Version] has no {name}")),
            Some(entry) if text.field(entry, 0).trim().is_empty() => {
                findings.add(code, entry.place(0), format!("[Version] has nothing for {name}"));
            }
            Some(_) => {}
        }
    }
    catalogs(version, text, findings);
    if !version.entries.iter().any(|entry| {
        entry.key.as_deref().is_some_and(|key| key.to_lowercase().split('.').next() == Some("catalogfile"))
    }) {
        findings.add(1233, here, "[Version] has no CatalogFile: the package cannot be signed");
    }
    if let Some(provider) = entry(version, "provider")
        && text.field(provider, 0).to_lowercase().split(|it: char| !it.is_alphanumeric()).next() == Some("microsoft")
    {
        findings.add(1204, provider.place(0), "the provider is Microsoft");
    }
    match entry(version, "pnplockdown") {
        Some(entry) if number(text.field(entry, 0).trim()) == Some(1) => {}
        Some(entry) => findings.add(1324, entry.place(0), "PnpLockdown is not 1: others may write the driver's files"),
        None => findings.add(1324, here, "[Version] has no PnpLockdown = 1: others may write the driver's files"),
    }
    match entry(version, "driverver") {
        Some(entry) => driver_ver(entry, text, findings),
        None => findings.add(1217, here, "[Version] has no DriverVer"),
    }
    class(file, version, text, findings);
    if file.section("manufacturer").is_some()
        && let Some((name, section)) =
            file.sections().find(|(name, _)| *name == "defaultinstall" || name.starts_with("defaultinstall.nt"))
        && !name.ends_with(".services")
    {
        findings.add(1212, (section.line, 1), format!("[{}] stands beside [Manufacturer]", section.name));
    }
}

/// Checks that the catalogues of two architectures are two files: one folder holds one file of a name.
fn catalogs(version: &Section, text: &Text, findings: &mut Findings) {
    let mut seen: Vec<(String, String)> = Vec::new();
    for entry in &version.entries {
        let key = entry.key.as_deref().unwrap_or_default().to_lowercase();
        let Some(decoration) = key.strip_prefix("catalogfile.") else { continue };
        let name = text.field(entry, 0).to_lowercase();
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == name) {
            findings.add(1214, entry.place(0), format!("{name} is the catalogue of {other} already"));
        }
        seen.push((decoration.to_owned(), name));
    }
}

fn class(file: &File, version: &Section, text: &Text, findings: &mut Findings) {
    let (Some(class), Some(guid)) = (entry(version, "class"), entry(version, "classguid")) else { return };
    let (name, id) = (text.field(class, 0).to_lowercase(), text.field(guid, 0).to_lowercase());
    let by_name = CLASSES.iter().find(|(known, _)| *known == name);
    let by_id = CLASSES.iter().find(|(_, known)| *known == id);
    match (by_name, by_id) {
        (Some((_, wanted)), _) if *wanted != id => {
            findings.add(1280, guid.place(0), format!("the class {name} has the ClassGuid {wanted}"));
        }
        (None, Some((wanted, _))) => {
            findings.add(1281, class.place(0), format!("the ClassGuid {id} is that of the class {wanted}"));
        }
        _ => {}
    }
    if (by_name.is_some() || by_id.is_some())
        && let Some((_, section)) =
            file.sections().find(|(name, _)| *name == "classinstall32" || name.starts_with("classinstall32.nt"))
    {
        findings.add(
            1285,
            (section.line, 1),
            format!("the class {name} is Windows' own, and is not installed by others"),
        );
    }
}

fn driver_ver(entry: &Entry, text: &Text, findings: &mut Findings) {
    let date = text.field(entry, 0);
    let parts: Vec<&str> = date.split(['/', '-']).map(str::trim).collect();
    let number = |index: usize, digits: usize| {
        let part = parts.get(index).copied().filter(|part| part.len() == digits)?;
        part.parse::<u16>().ok()
    };
    let is_date = match (parts.len(), number(0, 2), number(1, 2), number(2, 4)) {
        (3, Some(month), Some(day), Some(year)) => {
            der::DateTime::new(year, month.min(255) as u8, day.min(255) as u8, 0, 0, 0).is_ok()
        }
        _ => false,
    };
    if !is_date {
        findings.add(
            1218,
            entry.place(0),
            format!("the date \"{date}\" is not month/day/year with two, two and four digits"),
        );
    }
    let version = text.field(entry, 1);
    if version.is_empty() {
        return;
    }
    let parts: Vec<Option<u32>> = version.split('.').map(|part| part.trim().parse().ok()).collect();
    let fits = parts.len() <= 4 && parts.iter().all(|part| part.is_some_and(|part| part < 65535));
    if !fits || parts.iter().all(|part| *part == Some(0)) {
        findings.add(
            1218,
            entry.place(1),
            format!("the version \"{version}\" is not w.x.y.z, each below 65535 and not all 0"),
        );
    }
}

/// Returns the first entry with a key.
pub(super) fn entry<'a>(section: &'a Section, key: &str) -> Option<&'a Entry> {
    section.entries.iter().find(|entry| entry.is(key))
}

/// Reads a number, decimal or hexadecimal.
pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
