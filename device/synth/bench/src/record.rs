//! A figure, in the form in which all of the project's benchmarks give them: one JSON object a line.

use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Record {
    /// What was measured.
    pub(crate) name: String,
    /// The median of the rounds.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What it is compared with, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) baseline: Option<f64>,
    /// `value / baseline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// Which version of FluidSynth was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

impl Record {
    /// Makes a figure, compared with a baseline where there is one.
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str, baseline: Option<f64>) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            baseline,
            ratio: baseline.map(|baseline| value / baseline),
            version: None,
        }
    }

    /// Adds the version of FluidSynth to a figure about it.
    pub(crate) fn of_version(mut self, version: Option<&str>) -> Self {
        self.version = version.filter(|_| self.name.contains("/fluidsynth-")).map(str::to_owned);
        self
    }

    /// Prints it.
    ///
    /// # Errors
    /// The host's error, when standard output cannot be written.
    pub(crate) fn print(&self) -> std::io::Result<()> {
        use std::io::Write;
        writeln!(std::io::stdout(), "{}", serde_json::to_string(self).expect("names and numbers are JSON"))
    }
}
