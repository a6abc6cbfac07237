//! Suites: what reports that have them make of the names of tests.

use super::results::TestRecord;

/// The suite of tests that are no case of a scenario.
pub(super) const HARNESS: &str = "harness";

/// Returns the scenario and the case of a test, whose name is `scenario [case]`, or `scenario` where there is one case. Other tests
/// are cases of [`HARNESS`].
pub(super) fn parts(test: &TestRecord) -> (&str, &str) {
    match test.name.split_once(" [").and_then(|(scenario, case)| Some((scenario, case.strip_suffix(']')?))) {
        Some(parts) => parts,
        None if test.file.is_some() => (&test.name, &test.name),
        None => (HARNESS, &test.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_of_one_case_is_a_suite_of_its_own() {
        let scenario = TestRecord { file: Some("plays.toml".into()), ..TestRecord::new("plays", "") };
        assert_eq!(parts(&scenario), ("plays", "plays"));
        assert_eq!(parts(&TestRecord::new("songs [tide, x=[1]]", "")), ("songs", "tide, x=[1]"));
        assert_eq!(parts(&TestRecord::new("the download", "")), (HARNESS, "the download"));
    }
}
