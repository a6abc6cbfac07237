//! The order of steps: which streams, downloads and values there are at each, as far as a file tells.

use std::collections::{BTreeMap, BTreeSet};

use super::act::{Act, PlannedStep};
use crate::document::{Problems, Source, Span, nearest};
use crate::steps::document::StreamKind;

/// The name of a stream that has none of its own.
pub const STREAM: &str = "song";

/// Returns the stream that a step is about which names none: the only one, else the only one of the kind that it needs.
///
/// # Errors
/// The names of those that it may be about.
pub fn implied<'n>(
    streams: impl Iterator<Item = (&'n String, StreamKind)>,
    captures: Option<bool>,
) -> Result<Option<&'n String>, Vec<&'n String>> {
    let fits = |kind: StreamKind| match captures {
        None => true,
        Some(true) => kind == StreamKind::Capture,
        Some(false) => kind.takes_music(),
    };
    let all: Vec<_> = streams.collect();
    let fitting: Vec<_> = all.iter().filter(|(_, kind)| fits(*kind)).map(|(name, _)| *name).collect();
    match (all.as_slice(), fitting.as_slice()) {
        ([], _) => Ok(None),
        ([(name, _)], _) | (_, [name]) => Ok(Some(*name)),
        (_, []) => Err(all.iter().map(|(name, _)| *name).collect()),
        _ => Err(fitting),
    }
}

/// What there is at a step.
pub(super) struct Order<'p, 's> {
    source: Source<'s>,
    problems: &'p mut Problems,
    loaded: bool,
    started: bool,
    streams: BTreeMap<String, StreamKind>,
    saved: BTreeSet<String>,
    downloads: BTreeSet<String>,
    played: bool,
}

impl<'p, 's> Order<'p, 's> {
    /// Begins with a guest in which the driver is loaded and its device started, unless a step does that.
    pub(super) fn begin(loads: bool, source: Source<'s>, problems: &'p mut Problems) -> Self {
        let (streams, saved, downloads) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { source, problems, loaded: !loads, started: !loads, streams, saved, downloads, played: false }
    }

    /// Follows steps that were carried out, and has what is wrong with later ones in `problems`.
    pub(super) fn before<'q>(mut self, done: &[PlannedStep], problems: &'q mut Problems) -> Order<'q, 's> {
        self.list(done);
        let Self { source, loaded, started, streams, saved, downloads, played, .. } = self;
        Order { source, problems, loaded, started, streams, saved, downloads, played }
    }

    /// Follows a list of steps.
    pub(super) fn list(&mut self, steps: &[PlannedStep]) {
        for step in steps {
            self.step(step);
        }
    }

    /// Adds what is wrong with a step, at its place: in the file itself at its line, in an included one with its text.
    fn wrong(&mut self, step: &PlannedStep, message: &str) {
        if step.place.path == self.source.path {
            let line = self.source.text.split_inclusive('\n').take(step.place.line - 1).map(str::len).sum::<usize>();
            let text = self.source.text[line..].lines().next().unwrap_or_default();
            let span: Span = line + (text.len() - text.trim_start().len())..line + text.len();
            self.problems.add(self.source, span, message);
        } else {
            self.problems.add_shown(&step.place.path, format!("{message}\n --> {}", step.place));
        }
    }

    fn step(&mut self, step: &PlannedStep) {
        if let Some(message) = self.wrong_state(step) {
            self.wrong(step, message);
        }
        let stream = |member: &Option<toml::Spanned<String>>| member.as_ref().map(|name| name.get_ref().clone());
        match &step.act {
            Act::Load => self.loaded = true,
            Act::Start => self.started = true,
            Act::Stop => {
                self.started = false;
                self.streams.clear();
                self.downloads.clear();
            }
            Act::UnloadDriver => self.loaded = false,
            Act::Open(open) => {
                let name = open.name.clone().unwrap_or_else(|| STREAM.into());
                if self.streams.insert(name.clone(), open.kind).is_some() {
                    self.wrong(
                        step,
                        &format!("a stream `{name}` is open already: give this one another name, or close it first"),
                    );
                }
            }
            Act::Close(name) => {
                if self.streams.remove(name).is_none() {
                    let message = unknown("stream", name, self.streams.keys(), "opened");
                    self.wrong(step, &message);
                }
            }
            Act::State(state) => self.stream(step, stream(&state.stream), false, None),
            Act::Format(format) => self.stream(step, stream(&format.stream), false, None),
            Act::Play(play, _) => {
                self.stream(step, stream(&play.stream), true, Some(false));
                self.played = true;
            }
            Act::Capture(capture, _) => self.stream(step, stream(&capture.stream), false, Some(true)),
            Act::Property(property) => self.stream(step, stream(&property.stream), false, None),
            Act::Download(download) => {
                self.stream(step, stream(&download.stream), false, Some(false));
                if !self.downloads.insert(download.name.clone()) {
                    self.wrong(step, &format!("`{}` is downloaded already", download.name));
                }
            }
            Act::UnloadDownload(name) => {
                if !self.downloads.remove(name) {
                    let message = unknown("download", name, self.downloads.iter(), "downloaded");
                    self.wrong(step, &message);
                }
            }
            Act::Wait(wait) => self.since(step, stream(&wait.since)),
            Act::Expect(expect, _) => {
                self.since(step, stream(&expect.since));
                if expect.is_of_playback() && !self.played {
                    self.wrong(step, "nothing has been played before this step");
                }
            }
            Act::Save(save) => _ = self.saved.insert(save.name.clone()),
            Act::Parallel(branches) => {
                for branch in branches {
                    self.list(&branch.steps);
                }
            }
            Act::Include(steps) => self.list(steps),
            Act::Restart
            | Act::Power(_)
            | Act::Remove
            | Act::Send(..)
            | Act::Advance(_)
            | Act::Fault(_)
            | Act::Host(_) => {}
        }
    }

    /// Returns what is wrong with a step where the driver is not loaded or its device not started, or is.
    fn wrong_state(&self, step: &PlannedStep) -> Option<&'static str> {
        match &step.act {
            Act::Load => self.loaded.then_some("the driver is loaded already"),
            Act::Start if !self.loaded => Some("the driver is not loaded: put a step `load = true` before this one"),
            Act::Start => self.started.then_some("the device is started already"),
            Act::UnloadDriver if !self.loaded => Some("the driver is not loaded"),
            Act::UnloadDriver => {
                self.started.then_some("the device is started: put a step `stop = true` before this one")
            }
            Act::Stop | Act::Restart | Act::Power(_) | Act::Remove | Act::Open(_) | Act::Play(..) if !self.started => {
                Some("the device is not started: put a step `start = true` before this one")
            }
            _ => None,
        }
    }

    /// Checks that there is the stream that a step is about, and that it is of a kind.
    fn stream(&mut self, step: &PlannedStep, named: Option<String>, opens: bool, captures: Option<bool>) {
        let found = match &named {
            Some(name) => match self.streams.get(name) {
                Some(kind) => Some((name.clone(), *kind)),
                None => {
                    let message = unknown("stream", name, self.streams.keys(), "opened");
                    return self.wrong(step, &message);
                }
            },
            None => match implied(self.streams.iter().map(|(name, kind)| (name, *kind)), captures) {
                Ok(name) => {
                    name.and_then(|name| self.streams.get_key_value(name)).map(|(name, kind)| (name.clone(), *kind))
                }
                Err(names) => {
                    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
                    let message = format!("several streams are open: say which, stream = one of {}", names.join(", "));
                    return self.wrong(step, &message);
                }
            },
        };
        match (found, captures) {
            (None, _) if !opens => {
                self.wrong(step, "no stream is open: put a step `open = { kind = \"song\" }` before this one");
            }
            (Some((name, kind)), Some(captures)) if (kind == StreamKind::Capture) != captures => {
                let message = if captures {
                    format!("nothing comes out of stream `{name}`: open one of kind = \"capture\"")
                } else {
                    format!("stream `{name}` captures: open one of kind = \"song\"")
                };
                self.wrong(step, &message);
            }
            (Some((name, StreamKind::Wave)), Some(false)) => {
                self.wrong(step, &format!("stream `{name}` takes no music: open one of kind = \"song\""));
            }
            _ => {}
        }
    }

    /// Checks that a value was saved.
    fn since(&mut self, step: &PlannedStep, name: Option<String>) {
        let Some(name) = name.filter(|name| !self.saved.contains(name)) else { return };
        let message = unknown("value", &name, self.saved.iter(), "saved");
        self.wrong(step, &message);
    }
}

/// Returns the message about a name that nothing has.
fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a String> + Clone, done: &str) -> String {
    let hint = match nearest(name, names.clone().map(String::as_str)) {
        Some(word) => format!("; did you mean `{word}`?"),
        None => {
            let names: Vec<&str> = names.map(String::as_str).collect();
            if names.is_empty() {
                format!(": none has been {done}")
            } else {
                format!(", there is {}", names.join(", "))
            }
        }
    };
    format!("no {what} is called `{name}` here{hint}")
}
