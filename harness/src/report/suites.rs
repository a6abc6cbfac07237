//! Suites: what reports that have them make of the names of tests.

/// The suite of tests that are no case of a scenario.
pub(super) const HARNESS: &str = "harness";

/// Returns the scenario and the case of a test's name `scenario [case]`. Other tests are cases of [`HARNESS`].
pub(super) fn parts(name: &str) -> (&str, &str) {
    match name.split_once(" [").and_then(|(scenario, case)| Some((scenario, case.strip_suffix(']')?))) {
        Some(parts) => parts,
        None => (HARNESS, name),
    }
}
