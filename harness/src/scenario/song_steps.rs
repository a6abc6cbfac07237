//! A song as steps: a prompt opens between steps, and a playback test has none.

use super::case::Case;
use super::file::Scenario;
use crate::playback::judge::Judge;
use crate::steps::Plan;

/// What a playback test of a song on the project's card does, as steps. The song is the case's.
const STEPS: &str =
    "title = \"The song\"\n[[step]]\nplay = {}\n[[step]]\nexpect = { bit_identical = true, no_diagnosis = true }\n";

impl Scenario {
    /// Returns the steps that play a case's song and compare its PCM, for a run with a prompt. `None` where steps do less than the test does:
    /// another judge or device, captures, restarts, kills, standstills, probes, tests of a kind.
    #[must_use]
    pub fn song_as_steps(&self, case: &Case) -> Option<Plan> {
        let is_offline = matches!(self.judge, None | Some(Judge::Offline));
        let driver = case.driver.as_ref();
        let of_driver =
            driver.is_none_or(|driver| driver.probe.is_none() && driver.judge.is_none() && driver.device.is_none());
        let plays = self.test.is_none() && self.plan.is_empty() && !self.capture && self.device.is_card() && of_driver;
        let disturbed = self.kill.is_some() || !self.stalls.is_empty() || case.machine.restarts > 0;
        (plays && is_offline && !disturbed).then(|| Plan::parse("the song's steps", STEPS).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::scenario::malformed::Source;

    use super::*;

    fn steps(text: &str) -> Option<Plan> {
        let text = format!("title = \"a test\"\n{text}");
        let scenario = Scenario::parse(Source { path: Path::new("a.toml"), text: &text }).unwrap();
        scenario.song_as_steps(scenario.cases.first().unwrap())
    }

    #[test]
    fn a_song_on_the_card_is_two_steps() {
        let plan = steps("song = \"tide\"\n[card]\ntransport = \"vfio-user\"\n");
        assert!(plan.is_some_and(|plan| !plan.is_empty()));
    }

    #[test]
    fn what_steps_do_not_do_is_no_song_as_steps() {
        for text in [
            "song = \"tide\"\ncapture = true\n",
            "song = \"tide\"\njudge = \"plays\"\n",
            "song = \"tide\"\n[machine]\nrestarts = 2\n",
            "test = \"contract\"\n",
            "[[step]]\nopen = {}\n",
        ] {
            assert!(steps(text).is_none(), "{text}");
        }
    }
}
