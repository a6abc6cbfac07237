//! The INF is what the driver and its package need. InfVerif's rules are checked by the crate `driver-package`.

use std::collections::{BTreeMap, BTreeSet};

const INF: &str = include_str!("../../inf/dmuscard.inf");

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
