//! How long the phases of a build may take, as the user sets it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::ImageError;
use super::phase::Phase;

/// The limit without activity: neither disk, disc, screen nor COM1 changes. Set-up shows something that moves while it works.
pub(super) const STILL: (&str, f64) = ("still", 30.0);

/// The limit for an answer of the agent.
pub(super) const ANSWER: (&str, f64) = ("answer", 2.0);

/// The limit for a guest that has been told to turn itself off: services and updates may hold it up.
pub(super) const OFF: (&str, f64) = ("off", 10.0);

/// The time without activity of disk, disc and COM1 after which a screen like a bug check's is one. Windows writes its dump before, with the
/// same screen.
pub(super) const CRASH: (&str, f64) = ("crash", 1.0);

/// The limits of a build.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits(BTreeMap<&'static str, f64>);

impl Default for Limits {
    fn default() -> Self {
        let phases = Phase::LIMITS.map(|(_, name, minutes)| (name, minutes));
        Self(phases.into_iter().chain([STILL, ANSWER, OFF, CRASH]).collect())
    }
}

impl Limits {
    /// Sets a limit by text, such as `copy=600`: minutes.
    ///
    /// # Errors
    /// [`ImageError::Limit`] for a name that is none, or minutes that are no positive number.
    pub fn set(&mut self, text: &str) -> Result<(), ImageError> {
        let known = self.0.keys().copied().collect::<Vec<_>>().join(", ");
        let pair = text.split_once('=').and_then(|(name, minutes)| Some((name, minutes.parse::<f64>().ok()?)));
        let pair = pair.filter(|(_, minutes)| *minutes > 0.0 && *minutes < 1e6);
        match pair.and_then(|(name, minutes)| Some((self.0.get_mut(name)?, minutes))) {
            Some((limit, minutes)) => {
                *limit = minutes;
                Ok(())
            }
            None => Err(ImageError::Limit { text: text.into(), known }),
        }
    }

    /// Returns a limit by name.
    #[must_use]
    pub fn of(&self, name: &str) -> Duration {
        Duration::from_secs_f64(self.0.get(name).copied().unwrap_or_default() * 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_set_by_name_in_minutes() {
        let mut limits = Limits::default();
        limits.set("copy=0.5").unwrap();
        assert_eq!(limits.of("copy"), Duration::from_secs(30));
        assert_eq!(limits.of("start"), Duration::from_secs(600));
        for wrong in ["copy", "copy=", "copy=-1", "copy=0", "copies=3", "copy=inf", "copy=NaN"] {
            assert!(limits.set(wrong).unwrap_err().to_string().contains("configure"), "{wrong}");
        }
    }
}
