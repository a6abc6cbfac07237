//! Expectations.

use std::path::Path;

use guest_protocol::Statistics;

use super::side::{StepError, compare_diagnosis};
use super::state::{Engine, Recording};
use super::values::of_guest;
use crate::machine::Received;
use crate::playback::judge::compare_midi;
use crate::playback::{PlaybackError, receive};
use crate::sound::loudness;
use crate::sound::measure::{Part, level_dbfs, onsets_ms, peak, strongest_hz};
use crate::sound::pcm::{Pcm, difference};
use crate::steps::document::{ExpectStep, Level, Loudness, Onsets, Silence, Tone, ValueName};
use crate::testbed::TestBedError;

/// The file of the offline render, where the PCM differs from it.
const OFFLINE_WAV: &str = "offline.wav";

impl Engine<'_, '_> {
    /// Compares what card or device has found wrong with the driver with what is expected.
    fn expect_diagnosis(&mut self, expect: &ExpectStep) -> Result<Option<String>, StepError> {
        match self.bed.device_control().filter(|_| expect.is_of_diagnosis()) {
            Some(control) => {
                let first = control.diagnosis().map_err(TestBedError::from)?.first;
                let first = first.map(|first| (first.code.clone(), first.sentence()));
                let first = first.as_ref().map(|(code, text)| (code.as_str(), text.as_str()));
                Ok(compare_diagnosis(expect, "device", first))
            }
            None => self.side.expect_diagnosis(expect),
        }
    }

    /// Compares card, guest and the last playback with what is expected.
    pub(super) fn expect(&mut self, expect: &ExpectStep, folder: &Path) -> Result<String, StepError> {
        if expect.log.is_some() || expect.no_log.is_some() {
            // The reply comes after every line that the guest has said before.
            self.bed.session.statistics()?;
        }
        let mut wrong = self.side.expect_of_card(expect)?;
        wrong.extend(self.expect_diagnosis(expect)?);
        let mut found = Vec::new();
        if let Some(name) = expect.value.filter(|name| !name.is_of_card()) {
            let value = self.value(name)?;
            found.push(format!("{} is {value}", name.name()));
            wrong.extend(self.side.compare(expect, name, value));
        }
        if expect.no_findings.is_some() || expect.finding.is_some() {
            self.bed.session.statistics()?;
            let findings = self.bed.findings();
            match expect.finding {
                Some(rule) if !findings.rules().any(|found| found == rule) => {
                    wrong.push(format!("the guest has found nothing about rule {rule}"));
                }
                None if !findings.is_empty() => {
                    wrong.push(format!("the guest has found: {}", findings.short_lines().join("; ")));
                }
                _ => {}
            }
        }
        if let Some(bytes) = &expect.received {
            self.receive_all()?;
            let received = std::mem::take(&mut self.received);
            let all = received.joined();
            if received.lost > 0 {
                wrong.push(format!("{} bytes that the device received are no longer known", received.lost));
            } else if all != bytes.0 {
                wrong.push(format!("the device received {}, expected {}", hex::encode(&all), hex::encode(&bytes.0)));
            }
        }
        if expect.received_as_played.is_some() {
            self.receive_all()?;
        }
        if expect.is_of_playback() {
            let name = expect.stream.as_ref().map(|name| name.get_ref().clone()).or_else(|| self.last.clone());
            let recording = name.and_then(|name| self.recordings.get(&name).cloned());
            match recording {
                Some(recording) => wrong.extend(self.of_playback(expect, &recording, folder, &mut found)?),
                None => wrong.push("nothing has been played on this stream".into()),
            }
        }
        if wrong.is_empty() { Ok(found.join("; ")) } else { Err(StepError::Unexpected(wrong.join("; "))) }
    }

    /// Takes the bytes that card or device received since the last time: they are the last playback's. Tells whether it has told
    /// any: a device need not.
    pub(super) fn take_received(&mut self) -> Result<bool, StepError> {
        let Some(taken) = self.bed.take_received()? else { return Ok(false) };
        if let Some(last) = self.last.as_ref().and_then(|name| self.recordings.get_mut(name)) {
            last.received.extend(taken.clone());
        }
        self.received.extend(taken);
        Ok(true)
    }

    /// Takes the bytes of the last playback until they are all that was played, or no more come.
    fn receive_all(&mut self) -> Result<(), StepError> {
        if !self.take_received()? {
            return Err(PlaybackError::NoBytes { device: self.bed.device_name() }.into());
        }
        let Some(last) = self.last.as_ref().and_then(|name| self.recordings.get_mut(name)) else { return Ok(()) };
        let (bytes, lost) = (last.received.bytes.len(), last.received.lost);
        receive(self.bed, &last.song.events, &mut last.received)?;
        let bytes = last.received.bytes[bytes..].to_vec();
        self.received.extend(Received { bytes, lost: last.received.lost - lost });
        Ok(())
    }

    /// Compares a playback.
    fn of_playback(
        &self,
        expect: &ExpectStep,
        recording: &Recording,
        folder: &Path,
        found: &mut Vec<String>,
    ) -> Result<Vec<String>, StepError> {
        let mut wrong = Vec::new();
        if let Some(bounds) = expect.card_ms {
            match recording.card_ms {
                Some(ms) => wrong.extend(bounds.violation("the playback's card time in milliseconds", ms.into())),
                None => wrong.push("there is no card whose time could be compared".into()),
            }
        }
        if expect.received_as_played.is_some() {
            let verdict = compare_midi(&recording.song.events, &recording.received, false, 0);
            if !verdict.passed() {
                wrong.push(verdict.to_string());
            }
        }
        let needs_pcm = expect.bit_identical.is_some()
            || expect.golden.is_some()
            || expect.level.is_some()
            || expect.silence.is_some()
            || expect.tone.is_some()
            || expect.onsets.is_some()
            || expect.loudness.is_some();
        let Some(pcm) = &recording.pcm else {
            if needs_pcm {
                wrong.push("the driver's filter gives no PCM, so that there is nothing to listen to".into());
            }
            return Ok(wrong);
        };
        if expect.bit_identical.is_some() {
            let offline = self.render_offline(recording, pcm.format)?;
            if let Some(difference) = difference(pcm, &offline) {
                offline.write_wav(&self.side.run_folder.join(OFFLINE_WAV))?;
                wrong.push(format!("the PCM {difference}"));
            } else if pcm.peak() == 0 {
                wrong.push("the PCM is the offline render, but silent".into());
            }
        }
        if let Some(golden) = &expect.golden {
            let path = folder.join(&golden.get_ref().0);
            wrong.extend(super::golden::compare(&path, recording, pcm, self.test.update_golden, found)?);
        }
        wrong.extend(expect.level.and_then(|level| of_level(level, pcm, found)));
        wrong.extend(expect.silence.and_then(|silence| of_silence(silence, pcm)));
        wrong.extend(expect.tone.and_then(|tone| of_tone(tone, pcm, found)));
        if let Some(onsets) = &expect.onsets {
            wrong.extend(of_onsets(onsets, pcm));
        }
        if let Some(bounds) = expect.loudness {
            wrong.extend(self.of_loudness(bounds, pcm, found)?);
        }
        Ok(wrong)
    }

    /// Compares the loudness of PCM.
    fn of_loudness(&self, bounds: Loudness, pcm: &Pcm, found: &mut Vec<String>) -> Result<Option<String>, StepError> {
        let path = self.side.run_folder.join("loudness.wav");
        pcm.write_wav(&path)?;
        let measured = loudness::measure(&path);
        // It was written for the measurement alone.
        let _ = std::fs::remove_file(&path);
        let measured = measured.map_err(|error| PlaybackError::Act(error.to_string()))?.integrated_lufs;
        let Some(lufs) = measured else {
            return Ok(Some("the PCM is too quiet or too short to have a loudness".into()));
        };
        found.push(format!("{lufs:.2} LUFS"));
        let text = |bound: f64, word: &str| format!("the loudness is {lufs:.2} LUFS, expected at {word} {bound}");
        Ok(match bounds {
            Loudness { min_lufs: Some(min), .. } if lufs < min => Some(text(min, "least")),
            Loudness { max_lufs: Some(max), .. } if lufs > max => Some(text(max, "most")),
            _ => None,
        })
    }

    /// Reads a value that the card does not know.
    pub(super) fn value(&mut self, name: ValueName) -> Result<i128, StepError> {
        let statistics = self.bed.session.statistics()?;
        self.value_of_guest(name, &statistics).ok_or_else(|| {
            StepError::Unexpected(format!("there is no {}: nothing has been played before", name.name()))
        })
    }

    /// Returns a value of the guest, of the last playback or of the last capture.
    pub(super) fn value_of_guest(&self, name: ValueName, statistics: &Statistics) -> Option<i128> {
        let last = self.last.as_ref().and_then(|name| self.recordings.get(name));
        match name {
            ValueName::GuestFindings => Some(self.bed.findings().rules().count() as i128),
            ValueName::CaptureMessages => Some(self.captured_messages.into()),
            ValueName::PlayEvents => last.map(|last| last.events.into()),
            ValueName::PlayFrames => last.map(|last| last.pcm.as_ref().map_or(0, Pcm::frames).into()),
            ValueName::PlayPeak => last.map(|last| last.pcm.as_ref().map_or(0, Pcm::peak).into()),
            ValueName::PlayCardMs => last?.card_ms.map(i128::from),
            other => of_guest(other, statistics),
        }
    }
}

fn of_level(level: Level, pcm: &Pcm, found: &mut Vec<String>) -> Option<String> {
    let part = Part { from_ms: level.from_ms, to_ms: level.to_ms };
    let Some(dbfs) = level_dbfs(pcm, part) else { return Some(format!("{part} is digital silence or beyond the end")) };
    found.push(format!("{dbfs:.2} dBFS"));
    match level {
        Level { min_dbfs: Some(min), .. } if dbfs < min => {
            Some(format!("the level of {part} is {dbfs:.2} dBFS, expected at least {min}"))
        }
        Level { max_dbfs: Some(max), .. } if dbfs > max => {
            Some(format!("the level of {part} is {dbfs:.2} dBFS, expected at most {max}"))
        }
        _ => None,
    }
}

fn of_silence(silence: Silence, pcm: &Pcm) -> Option<String> {
    let part = Part { from_ms: silence.from_ms, to_ms: silence.to_ms };
    let Some((peak, ms)) = peak(pcm, part) else { return Some(format!("{part} is beyond the end of the PCM")) };
    (peak > silence.peak_max).then(|| {
        format!(
            "{part} is not silent: a sample of magnitude {peak} at {ms:.2} ms, expected at most {}",
            silence.peak_max
        )
    })
}

fn of_tone(tone: Tone, pcm: &Pcm, found: &mut Vec<String>) -> Option<String> {
    let part = Part { from_ms: tone.from_ms, to_ms: tone.to_ms };
    let Some(hz) = strongest_hz(pcm, part) else {
        return Some(format!("{part} is silent or too short to have a tone"));
    };
    let cents = 1200.0 * (hz / tone.hz).log2();
    found.push(format!("{hz:.2} Hz"));
    (cents.abs() > tone.within_cents).then(|| {
        format!(
            "the strongest tone of {part} is {hz:.2} Hz, {cents:+.1} cents from {} Hz, at most {} are allowed",
            tone.hz, tone.within_cents
        )
    })
}

fn of_onsets(onsets: &Onsets, pcm: &Pcm) -> Option<String> {
    let found = onsets_ms(pcm, onsets.threshold, onsets.gap_ms);
    let shown = |list: &[f64]| list.iter().map(|ms| format!("{ms:.2}")).collect::<Vec<_>>().join(", ");
    let fits = found.len() == onsets.ms.len()
        && found.iter().zip(&onsets.ms).all(|(found, wanted)| (found - wanted).abs() <= onsets.within_ms);
    (!fits).then(|| {
        format!("sound begins at {} ms, expected {} (within {} ms)", shown(&found), shown(&onsets.ms), onsets.within_ms)
    })
}
