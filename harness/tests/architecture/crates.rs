//! The edges between the crates of the workspace. A missing edge is part of the contract between them.

use std::collections::BTreeSet;

use cargo_metadata::DependencyKind;

use super::workspace;

/// Crates of the workspace that each crate may depend on. What a crate reaches through another is not listed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("card-spec", &[]),
    ("dls-synth", &[]),
    ("portcls", &[]),
    ("vfio-user-card", &[]),
    ("vfio-user-card-trace", &["card-trace", "vfio-user-card"]),
    ("vhost-user-guard", &[]),
    ("guest-protocol", &[]),
    ("driver-audit", &[]),
    ("driver-package", &["driver-audit"]),
    ("card-control", &["card-spec"]),
    ("card-qtest", &["card-control", "card-spec"]),
    ("card-trace", &["card-spec"]),
    ("dmus-card", &["card-control", "card-spec", "card-trace", "dls-synth", "vfio-user-card", "vhost-user-guard"]),
    ("dls-conformance", &["dls-synth"]),
    ("dls-synth-bench", &["dls-synth"]),
    ("dmus-miniport", &["card-spec", "portcls"]),
    ("dmuscard", &["card-spec", "dmus-miniport", "portcls"]),
    ("dmus-agent", &["guest-protocol"]),
    ("nt-host", &["guest-protocol"]),
    ("stand-in", &["guest-protocol"]),
    ("dmus", &["card-control", "card-qtest", "card-trace", "driver-audit", "driver-package", "guest-protocol"]),
];

/// Crates of the workspace that a crate's tests may depend on besides.
const ALLOWED_IN_TESTS: &[(&str, &[&str])] = &[
    ("dmus-agent", &["dmus"]),
    ("nt-host", &["portcls"]),
    ("vfio-user-card", &["card-trace", "vfio-user-card-trace"]),
];

fn allowed(table: &'static [(&str, &[&'static str])], name: &str) -> Option<&'static [&'static str]> {
    table.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)
}

#[test]
fn crates_depend_only_on_the_crates_that_the_architecture_allows() {
    let metadata = workspace();
    let names: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut violations = Vec::new();
    for package in &metadata.packages {
        let from = package.name.as_str();
        let Some(uses) = allowed(ALLOWED, from) else {
            violations.push(format!("{from} is not in the table: say which crates it may depend on"));
            continue;
        };
        for dependency in &package.dependencies {
            let to = dependency.name.as_str();
            let test_only = dependency.kind == DependencyKind::Development;
            let in_tests = allowed(ALLOWED_IN_TESTS, from).unwrap_or_default();
            let fine = to == from || uses.contains(&to) || test_only && in_tests.contains(&to);
            if names.contains(to) && !fine {
                violations.push(format!("{from} depends on {to} ({})", package.manifest_path));
            }
        }
    }
    for (name, _) in ALLOWED {
        if !names.contains(name) {
            violations.push(format!("{name} is in the table and not in the workspace"));
        }
    }
    assert!(violations.is_empty(), "edges between crates that the architecture forbids:\n{}", violations.join("\n"));
}
