//! Offline renders, of which a process makes each once: the cases of a suite play few songs under many conditions.
//!
//! What is kept is the summary with the hash of the sound, by everything that the render depends on: the card's program and the bank as
//! they are in the file system, the content of the list of events, rate, frames and channel groups. The sound itself is wanted only where
//! a driver's differs, and is then rendered again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::render::{self, RenderError, RenderOptions, Rendered, Rendering};
use crate::host::file_error::FileError;
use crate::host::hash::sha256_hex;
use crate::host::stamp::Stamp;

/// Renders that are kept: more than any suite has songs, rates and lengths, and less than a megabyte.
const KEPT_MAX: usize = 1024;

/// All that a render depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    card: (PathBuf, Stamp),
    bank: Option<(PathBuf, Stamp)>,
    events_sha256: String,
    sample_rate: u32,
    frames: u64,
    channel_groups: u32,
}

impl Key {
    fn of(options: &RenderOptions) -> Result<Self, FileError> {
        let events = std::fs::read(&options.events).map_err(FileError::own("read", &options.events))?;
        let stamped = |path: &PathBuf| Stamp::of(path).map(|stamp| (path.clone(), stamp));
        Ok(Self {
            card: stamped(&options.card)?,
            bank: options.bank.as_ref().map(stamped).transpose()?,
            events_sha256: sha256_hex(&events),
            sample_rate: options.sample_rate,
            frames: options.frames,
            channel_groups: options.channel_groups,
        })
    }
}

/// What this process has rendered.
static RENDERED: Mutex<BTreeMap<Key, Rendered>> = Mutex::new(BTreeMap::new());

/// A render that runs in the background, or one whose result is known.
#[derive(Debug)]
pub struct RenderOnce {
    options: RenderOptions,
    /// `None` where what it depends on cannot be read: the render itself says why.
    key: Option<Key>,
    /// `None` where the result is known.
    running: Option<Rendering>,
}

/// A complete render, with its sound on demand.
#[derive(Debug)]
pub struct RenderedOnce {
    /// The result.
    pub rendered: Rendered,
    options: RenderOptions,
    has_sound: bool,
}

/// Starts a render, unless this process has made it before.
///
/// # Errors
/// [`RenderError::File`] when the program cannot be started.
pub fn start(options: RenderOptions) -> Result<RenderOnce, RenderError> {
    let key = Key::of(&options).ok();
    let is_known = key.as_ref().is_some_and(|key| known(key).is_some());
    let running = if is_known { None } else { Some(render::start(&options)?) };
    Ok(RenderOnce { options, key, running })
}

impl RenderOnce {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`RenderError`] when the program failed, or its summary cannot be parsed.
    pub fn finish(self) -> Result<RenderedOnce, RenderError> {
        let Self { options, key, running } = self;
        let (rendered, has_sound) = match (running, key.as_ref().and_then(known)) {
            (None, Some(rendered)) => (rendered, false),
            (running, _) => {
                let running = running.map_or_else(|| render::start(&options), Ok)?;
                (running.watch(|_, _| {})?, true)
            }
        };
        // A program or bank that was replaced meanwhile may have rendered any part.
        if has_sound && let Some(key) = key.filter(|key| Key::of(&options).is_ok_and(|now| now == *key)) {
            keep(key, &rendered);
        }
        Ok(RenderedOnce { rendered, options, has_sound })
    }
}

impl RenderedOnce {
    /// Sees to it that the WAV file is there.
    ///
    /// # Errors
    /// [`RenderError`] when it has to be rendered again and cannot.
    pub fn expect_sound(&mut self) -> Result<(), RenderError> {
        if !self.has_sound {
            self.rendered = render::start(&self.options)?.watch(|_, _| {})?;
            self.has_sound = true;
        }
        Ok(())
    }

    /// Removes the WAV file, if there is one.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be removed.
    pub fn remove_sound(&self) -> Result<(), FileError> {
        if !self.has_sound {
            return Ok(());
        }
        std::fs::remove_file(&self.options.out).map_err(FileError::own("remove", &self.options.out))
    }
}

fn known(key: &Key) -> Option<Rendered> {
    RENDERED.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
}

fn keep(key: Key, rendered: &Rendered) {
    let mut all = RENDERED.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= KEPT_MAX {
        all.clear();
    }
    all.insert(key, rendered.clone());
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Options of a render by a program that counts how often it runs.
    fn options(folder: &std::path::Path) -> RenderOptions {
        let card = folder.join("card");
        let summary = r#"{"frames":48,"peak_dbfs":null,"pcm_sha256":"e3b0"}"#;
        let runs = folder.join("runs");
        fs::write(&card, format!("#!/bin/sh\necho run >> {}\ntouch \"$5\"\necho '{summary}'\n", runs.display()))
            .unwrap();
        fs::set_permissions(&card, fs::Permissions::from_mode(0o755)).unwrap();
        let events = folder.join("events");
        fs::write(&events, "one").unwrap();
        let out = folder.join("out.wav");
        RenderOptions { card, events, out, sample_rate: 48_000, frames: 48, channel_groups: 1, bank: None }
    }

    fn runs(folder: &std::path::Path) -> usize {
        fs::read_to_string(folder.join("runs")).unwrap_or_default().lines().count()
    }

    #[test]
    fn renders_the_same_events_once_and_their_sound_again_where_it_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let first = start(options.clone()).unwrap().finish().unwrap();
        first.remove_sound().unwrap();
        assert!(!options.out.exists());
        let mut second = start(options.clone()).unwrap().finish().unwrap();
        assert_eq!((runs(folder.path()), &second.rendered), (1, &first.rendered));
        second.remove_sound().unwrap();
        second.expect_sound().unwrap();
        assert!(options.out.exists());
        assert_eq!(runs(folder.path()), 2);
    }

    #[test]
    fn renders_again_what_differs_in_anything() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let bank = folder.path().join("bank");
        fs::write(&bank, "bank").unwrap();
        let render = |options: RenderOptions| start(options).unwrap().finish().unwrap();
        render(options.clone());
        let others = [
            RenderOptions { sample_rate: 44_100, ..options.clone() },
            RenderOptions { frames: 49, ..options.clone() },
            RenderOptions { channel_groups: 2, ..options.clone() },
            RenderOptions { bank: Some(bank.clone()), ..options.clone() },
        ];
        for (number, other) in (2..).zip(others) {
            render(other);
            assert_eq!(runs(folder.path()), number);
        }
        fs::write(&options.events, "two").unwrap();
        render(options.clone());
        assert_eq!(runs(folder.path()), 6);
        fs::write(&bank, "another bank").unwrap();
        render(RenderOptions { bank: Some(bank), ..options });
        assert_eq!(runs(folder.path()), 7);
    }
}
