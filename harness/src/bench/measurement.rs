//! One figure of a benchmark, with its unit and, where there is one, its baseline.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The benchmark and the quantity, such as `scenario/total`.
    pub name: String,
    /// The value: the median.
    pub value: f64,
    /// Its unit.
    pub unit: Cow<'static, str>,
    /// The value that it is compared with, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// `value / baseline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The version of the program that was measured, where it is not the project's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl std::fmt::Display for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Fixed columns: a figure is printed when it is measured, before the others are known.
        write!(f, "{:<44} {:>10.2} {:<15}", self.name, self.value, self.unit)?;
        if let (Some(baseline), Some(ratio)) = (self.baseline, self.ratio) {
            write!(f, " {ratio:>6.2} of {baseline:.2}")?;
        }
        if let Some(version) = &self.version {
            write!(f, "  ({version})")?;
        }
        Ok(())
    }
}

impl Measurement {
    /// Creates a figure without a baseline.
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit: Cow::Borrowed(unit), baseline: None, ratio: None, version: None }
    }

    /// Adds the baseline and the ratio to it.
    pub(super) fn against(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = Some(self.value / baseline);
        self
    }
}

/// Returns the median of an odd number of values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_values_in_any_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![2.0]), 2.0);
    }

    #[test]
    fn omits_the_ratio_without_a_baseline() {
        let text = serde_json::to_string(&Measurement::new("a/b", 2.0, "ms")).unwrap();
        assert_eq!(text, r#"{"name":"a/b","value":2.0,"unit":"ms"}"#);
        assert_eq!(Measurement::new("a/b", 2.0, "ms").against(4.0).ratio, Some(0.5));
    }

    #[test]
    fn reads_a_figure_of_another_program_as_it_was_written() {
        let line = r#"{"name":"synth/a/32/dry","value":2.5,"unit":"ns","baseline":5.0,"ratio":0.5,"version":"2.6.1"}"#;
        let measurement: Measurement = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&measurement).unwrap(), line);
        assert!(measurement.to_string().contains("0.50 of 5.00  (2.6.1)"), "{measurement}");
    }
}
