//! The INF keeps what InfVerif checks and the reference pages of INF sections and directives state.

use std::collections::{BTreeMap, BTreeSet};

const INF: &str = include_str!("../../inf/dmuscard.inf");

/// First build of Windows 10 on which DIRID 13 may be used (InfVerif error 1199; "Using a Universal INF File").
const DIRID_13_BUILD: u32 = 16299;

/// The sections: lines without comments, by lower-case name.
fn sections() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let mut section = String::new();
    for line in INF.lines().map(|line| line.split(';').next().unwrap().trim()).filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_lowercase();
            assert!(found.insert(section.clone(), Vec::new()).is_none(), "[{name}] is there once");
        } else {
            found.get_mut(&section).expect("a line is in a section").push(line.to_owned());
        }
    }
    found
}

/// Returns the comma-separated values of a key in a section.
fn values(section: &[String], key: &str) -> Vec<String> {
    let named = section.iter().filter_map(|line| line.split_once('='));
    let named = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case(key));
    named.flat_map(|(_, values)| values.split(',').map(|value| value.trim().to_owned())).collect()
}

/// Returns the build numbers in the decorations of the models.
fn builds() -> Vec<u32> {
    let sections = sections();
    let manufacturer = sections["manufacturer"].iter().flat_map(|line| line.split(',').skip(1));
    manufacturer.map(|decoration| decoration.rsplit('.').next().unwrap().parse().expect("a build number")).collect()
}

#[test]
fn a_decoration_with_dirid_13_is_for_windows_that_knows_it() {
    assert!(INF.contains("= 13") && INF.contains("%13%"), "files stay in the driver store");
    let builds = builds();
    assert_eq!(builds.len(), 2, "one for each width");
    assert!(builds.iter().all(|build| *build >= DIRID_13_BUILD), "{builds:?}");
}

#[test]
fn every_decoration_has_its_models() {
    let sections = sections();
    for line in &sections["manufacturer"] {
        let (_, rest) = line.split_once('=').unwrap();
        let (models, decorations) = rest.split_once(',').unwrap();
        for decoration in decorations.split(',') {
            let name = format!("{}.{}", models.trim(), decoration.trim()).to_lowercase();
            assert!(sections.contains_key(&name), "[{name}]");
        }
    }
}

#[test]
fn every_section_that_is_named_is_there_and_every_other_is_used() {
    let sections = sections();
    let keywords = ["addreg", "copyfiles", "delfiles", "delreg", "addinterface", "addservice"];
    let mut used: BTreeSet<String> =
        ["version", "sourcedisksnames", "destinationdirs", "manufacturer", "strings"].map(String::from).into();
    used.extend(["amd64", "x86"].map(|width| format!("sourcedisksfiles.{width}")));
    for (name, lines) in &sections {
        for line in lines {
            let Some((key, rest)) = line.split_once('=') else { continue };
            let key = key.trim().to_lowercase();
            if keywords.contains(&key.as_str()) {
                let last = rest.split(',').next_back().unwrap().trim().to_lowercase();
                assert!(sections.contains_key(&last), "[{name}] names [{last}]");
                used.insert(last);
            }
        }
        if name.starts_with("models.") {
            used.insert(name.clone());
            for line in lines {
                let install = line.split_once('=').unwrap().1.split(',').next().unwrap().trim().to_lowercase();
                for suffix in ["", ".hw", ".interfaces", ".services"] {
                    used.insert(format!("{install}.nt{suffix}"));
                }
                assert!(sections.contains_key(&format!("{install}.nt")), "[{install}.nt]");
                assert!(sections.contains_key(&format!("{install}.nt.services")), "a device needs a service");
            }
        }
    }
    let unused: Vec<&String> = sections.keys().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "{unused:?} are referred to by nothing");
}

#[test]
fn every_file_that_is_copied_is_on_the_disk() {
    let sections = sections();
    let copied = &sections["card.copyfiles"];
    for width in ["amd64", "x86"] {
        let files = &sections[&format!("sourcedisksfiles.{width}")];
        assert!(copied.iter().all(|file| !values(files, file).is_empty()), "{copied:?} in {files:?}");
    }
    assert_eq!(values(&sections["destinationdirs"], "Card.CopyFiles"), ["13"]);
}

#[test]
fn every_string_is_defined_and_every_defined_one_is_used() {
    let sections = sections();
    let keys: BTreeSet<String> =
        sections["strings"].iter().map(|line| line.split_once('=').unwrap().0.trim().to_lowercase()).collect();
    let body: String = INF.lines().filter(|line| !line.starts_with(';')).collect::<Vec<_>>().join("\n");
    let tokens: Vec<String> = body.split('%').skip(1).step_by(2).map(str::to_lowercase).collect();
    // A number is a DIRID.
    let used: BTreeSet<String> = tokens.into_iter().filter(|token| token.parse::<u32>().is_err()).collect();
    assert_eq!(used, keys);
}

#[test]
fn the_version_has_what_a_signed_package_needs() {
    let version = &sections()["version"];
    assert_eq!(values(version, "Signature"), ["\"$Windows NT$\""]);
    assert_eq!(values(version, "ClassGUID"), ["{4D36E96C-E325-11CE-BFC1-08002BE10318}"]);
    assert_eq!(values(version, "PnpLockdown"), ["1"]);
    assert!(values(version, "CatalogFile")[0].to_ascii_lowercase().ends_with(".cat"));
    let date = &values(version, "DriverVer")[0];
    let fields: Vec<usize> = date.split('/').map(str::len).collect();
    assert_eq!(fields, [2, 2, 4], "{date} is mm/dd/yyyy");
    let four = values(version, "DriverVer")[1].split('.').count();
    assert_eq!(four, 4, "a version of four numbers");
}
