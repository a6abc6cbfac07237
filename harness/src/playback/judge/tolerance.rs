//! How far PCM may be from its reference.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Most frames by which PCM may be shifted: a tenth of a second at 48 kHz. Beyond, something else is wrong.
pub const OFFSET_MAX: u32 = 4800;

/// Most steps of 16 bits by which two samples can differ.
const STEPS_MAX: u32 = 65_535;

/// The tolerance of a comparison with a reference. Each bound that is given must hold; if none of `max`, `peak` and `rms` is,
/// the samples must be equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tolerance {
    /// The largest difference of two samples, in steps of 16 bits: 0 to 65535.
    pub max: Option<u32>,
    /// The largest difference of two samples, in dBFS: at most 6.1.
    pub peak: Option<f64>,
    /// The root mean square of all differences, in dBFS.
    pub rms: Option<f64>,
    /// The largest number of frames by which the PCM may come earlier or later.
    pub offset: u32,
}

/// What is wrong with a tolerance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{part}` is no part of a tolerance: max=STEPS (0 to {STEPS_MAX}, steps of 16 bits), peak=DBFS, rms=DBFS (below 0, as \
     -60), offset=FRAMES (0 to {OFFSET_MAX}), with commas between"
)]
pub struct ToleranceError {
    /// The part.
    pub part: String,
}

impl Tolerance {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`ToleranceError`] with the first bound that is out of range.
    pub fn checked(self) -> Result<Self, ToleranceError> {
        let fail = |part: String| Err(ToleranceError { part });
        if let Some(max) = self.max.filter(|max| *max > STEPS_MAX) {
            return fail(format!("max={max}"));
        }
        for (name, bound) in [("peak", self.peak), ("rms", self.rms)] {
            if let Some(bound) = bound.filter(|bound| !bound.is_finite() || *bound >= 0.0) {
                return fail(format!("{name}={bound}"));
            }
        }
        if self.offset > OFFSET_MAX {
            return fail(format!("offset={}", self.offset));
        }
        Ok(self)
    }

    /// Tells whether samples must be equal.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.max.is_none() && self.peak.is_none() && self.rms.is_none()
    }
}

impl FromStr for Tolerance {
    type Err = ToleranceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut tolerance = Self::default();
        for part in text.split(',').map(str::trim) {
            let wrong = || ToleranceError { part: part.into() };
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            match name.trim() {
                "max" => tolerance.max = Some(value.trim().parse().map_err(|_| wrong())?),
                "peak" => tolerance.peak = Some(value.trim().parse().map_err(|_| wrong())?),
                "rms" => tolerance.rms = Some(value.trim().parse().map_err(|_| wrong())?),
                "offset" => tolerance.offset = value.trim().parse().map_err(|_| wrong())?,
                _ => return Err(wrong()),
            }
        }
        tolerance.checked()
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.max.map(|max| format!("max={max}")));
        parts.extend(self.peak.map(|peak| format!("peak={peak}")));
        parts.extend(self.rms.map(|rms| format!("rms={rms}")));
        if self.is_exact() {
            parts.push("equal samples".into());
        }
        if self.offset > 0 {
            parts.push(format!("offset={}", self.offset));
        }
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_bounds_and_writes_them_again() {
        let read: Tolerance = "max=3, rms=-80,offset=64".parse().unwrap();
        assert_eq!(read, Tolerance { max: Some(3), peak: None, rms: Some(-80.0), offset: 64 });
        assert_eq!(read.to_string(), "max=3,rms=-80,offset=64");
        assert_eq!("offset=1".parse::<Tolerance>().unwrap().to_string(), "equal samples,offset=1");
        assert!("offset=1".parse::<Tolerance>().unwrap().is_exact());
    }

    #[test]
    fn refuses_what_is_no_bound() {
        for wrong in [
            "",
            "max",
            "max=-1",
            "max=65536",
            "rms=0",
            "rms=60",
            "peak=nan",
            "peak=-inf",
            "offset=4801",
            "size=1",
            "max=1,",
        ] {
            let error = wrong.parse::<Tolerance>().unwrap_err().to_string();
            assert!(error.contains("offset=FRAMES (0 to 4800)"), "{wrong}: {error}");
        }
    }
}
