//! Reads the steps of a file.

use std::path::Path;

use card_control::InjectedFault;
use toml::Spanned;

use super::act::{Act, Fails, Music, Place, PlannedBranch, PlannedStep, Verb, both};
use super::include::with_included;
use super::order::Order;
use crate::document::{Problems, Source, Span, read};
use crate::sound::midi::{Song, event_at};
use crate::sound::song_source::SongSource;
use crate::steps::document::{
    AdvanceStep, Branch, DownloadStep, ExpectStep, HostStep, InlineEvent, PropertyStep, StepList, StepTable,
    UnloadStep, WaitStep,
};

/// How deep files of steps may include others: a file that includes itself would never end.
const INCLUDES_MAX: usize = 8;

/// Most steps of a scenario, those of included files counted: a typing error must not run for a day.
const STEPS_MAX: usize = 10_000;

/// The steps of a scenario, in order, and those that clean up behind them.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<PlannedStep>,
    /// The steps that run whatever came before, and change no verdict.
    pub cleanup: Vec<PlannedStep>,
    /// Whether a step loads the driver, so that nothing is started before the first step.
    pub loads: bool,
    /// Whether a step is wrong in such a way that later ones cannot be checked against it.
    has_gaps: bool,
}

/// What is wrong with a list of steps, each thing at its place.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(pub(super) String);

/// The tables of a file.
#[derive(Clone, Copy)]
pub struct PlanInput<'a> {
    /// The file.
    pub source: Source<'a>,
    /// `[[step]]`.
    pub steps: &'a [Spanned<StepTable>],
    /// `[[cleanup]]`.
    pub cleanup: &'a [Spanned<StepTable>],
}

impl Plan {
    /// Reads the steps of a file and of those that it includes, and checks them. What is wrong is in `problems`.
    #[must_use]
    pub fn read(input: PlanInput<'_>, problems: &mut Problems) -> Self {
        let mut reader = Reader { problems, count: 0, depth: 0, has_gaps: false };
        let steps = reader.list(input.source, input.steps, "");
        let cleanup = reader.list(input.source, input.cleanup, "cleanup ");
        let has_gaps = reader.has_gaps;
        let loads = any(&steps, &|act| matches!(act, Act::Load));
        Self { steps, cleanup, loads, has_gaps }
    }

    /// Reads a list of steps, with a title, as files of steps have it. `path` is where it stands: what it names is beside that.
    ///
    /// # Errors
    /// [`PlanError`] with everything that is wrong, each at its place.
    pub fn parse(path: impl AsRef<Path>, text: &str) -> Result<Self, PlanError> {
        let source = Source { path: path.as_ref(), text };
        let mut problems = Problems::default();
        let list: Option<StepList> = read(source, &mut problems);
        let steps = list.map(|list| list.step).unwrap_or_default();
        let plan = Self::read(PlanInput { source, steps: &steps, cleanup: &[] }, &mut problems);
        plan.check_order(source, &mut problems);
        if problems.is_empty() { Ok(plan) } else { Err(PlanError(problems.text())) }
    }

    /// Returns a plan without steps, before which nothing is loaded: what a prompt begins with.
    #[must_use]
    pub fn of_prompt() -> Self {
        Self { loads: true, ..Self::default() }
    }

    /// Returns whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns whether a step does something for which `is` holds.
    pub fn any(&self, is: impl Fn(&Act) -> bool) -> bool {
        any(&self.steps, &is)
    }

    /// Checks the order of the steps: what is open, loaded and saved at each. What is wrong is in `problems`.
    pub fn check_order(&self, source: Source<'_>, problems: &mut Problems) {
        if self.has_gaps {
            return;
        }
        let mut order = Order::begin(self.loads, source, problems);
        order.list(&self.steps);
        order.list(&self.cleanup);
    }
}

/// Returns whether a step of a list, or of those in it, does something.
fn any(steps: &[PlannedStep], is: &dyn Fn(&Act) -> bool) -> bool {
    steps.iter().any(|step| match &step.act {
        Act::Parallel(branches) => branches.iter().any(|branch| any(&branch.steps, is)),
        Act::Include(steps) => any(steps, is),
        act => is(act),
    })
}

struct Reader<'p> {
    problems: &'p mut Problems,
    count: usize,
    depth: usize,
    has_gaps: bool,
}

impl Reader<'_> {
    fn list(&mut self, source: Source<'_>, tables: &[Spanned<StepTable>], prefix: &str) -> Vec<PlannedStep> {
        let mut steps = Vec::new();
        for (index, table) in tables.iter().enumerate() {
            self.count += 1;
            if self.count == STEPS_MAX {
                let message = format!("more than {STEPS_MAX} steps");
                self.problems.add(source, table.span().start..table.span().start, &message);
            }
            if self.count >= STEPS_MAX {
                break;
            }
            steps.extend(self.step(source, table, format!("{prefix}{}", index + 1)));
        }
        steps
    }

    fn step(&mut self, source: Source<'_>, table: &Spanned<StepTable>, number: String) -> Option<PlannedStep> {
        let start = table.span().start;
        let StepTable { name, fails, card_ms, host_s, .. } = table.get_ref();
        let mut verbs = self.verbs(source, table.get_ref(), &number);
        let (verb, span, act) = match verbs.len() {
            1 => verbs.remove(0),
            0 => {
                let message = "a step has one verb, and this one has none: see the list of verbs in the reference";
                self.problems.add(source, start..start, message);
                return None;
            }
            _ => {
                let (_, span, _) = &verbs[1];
                let names: Vec<String> = verbs.iter().map(|(verb, ..)| format!("`{verb}`")).collect();
                let message =
                    format!("a step has one verb, and this one has {}: make several steps of it", names.join(", "));
                self.problems.add(source, span.clone(), &message);
                self.has_gaps = true;
                return None;
            }
        };
        let Some(act) = act else {
            self.has_gaps = true;
            return None;
        };
        if let Some(fails) = fails
            && fails.get_ref().status.as_ref().is_none_or(|status| status.all().is_empty())
            && fails.get_ref().text.is_none()
        {
            self.problems.add(source, fails.span(), "name how it must fail: a status, a part of the text, or both");
        }
        let place = Place { path: source.path.into(), line: source.line(&span) };
        let fails = fails.as_ref().map(|fails| {
            let fails = fails.get_ref();
            let statuses = fails.status.as_ref().map(|status| status.all().to_vec()).unwrap_or_default();
            Fails { statuses, text: fails.text.clone() }
        });
        Some(PlannedStep {
            number,
            verb,
            name: name.clone(),
            place,
            act,
            fails,
            card_ms: card_ms.as_ref().map(|limit| *limit.get_ref()),
            host_s: host_s.as_ref().map(|limit| *limit.get_ref()),
        })
    }

    /// Returns each verb of a step with its place, and what it does; `None` where that is wrong.
    fn verbs(&mut self, source: Source<'_>, table: &StepTable, number: &str) -> Vec<(Verb, Span, Option<Act>)> {
        let mut found: Vec<(Verb, Span, Option<Act>)> = Vec::new();
        let mut add = |name: &'static str, span: Span, act: Option<Act>| found.push((Verb(name), span, act));
        for (name, member, act) in [
            ("load", &table.load, Act::Load),
            ("start", &table.start, Act::Start),
            ("stop", &table.stop, Act::Stop),
            ("restart", &table.restart, Act::Restart),
            ("remove", &table.remove, Act::Remove),
        ] {
            if let Some(member) = member {
                add(name, member.span(), Some(act));
            }
        }
        if let Some((state, span)) = table.power.as_ref().map(both) {
            add("power", span, Some(Act::Power(state)));
        }
        if let Some((unload, span)) = table.unload.as_ref().map(both) {
            let act = match unload {
                UnloadStep::Driver(_) => Act::UnloadDriver,
                UnloadStep::Download(name) => Act::UnloadDownload(name),
            };
            add("unload", span, Some(act));
        }
        if let Some((open, span)) = table.open.as_ref().map(both) {
            add("open", span, Some(Act::Open(open)));
        }
        if let Some((name, span)) = table.close.as_ref().map(both) {
            add("close", span, Some(Act::Close(name)));
        }
        if let Some((state, span)) = table.state.as_ref().map(both) {
            add("state", span, Some(Act::State(state)));
        }
        if let Some((format, span)) = table.format.as_ref().map(both) {
            add("format", span, Some(Act::Format(format)));
        }
        if let Some((play, span)) = table.play.as_ref().map(both) {
            let song = play.song.as_ref().map(|name| self.song(source, name));
            let music = match (song, play.events.is_empty()) {
                (Some(_), false) => {
                    self.problems.add(source, span.clone(), "play has either a song or events");
                    None
                }
                (Some(song), true) => Some(song.map_or(Music::OfScenario, Music::Song)),
                (None, true) => Some(Music::OfScenario),
                (None, false) => self.events(source, &play.events, &span).map(Music::Events),
            };
            if let Some(to) = play.to_ms.as_ref().filter(|to| *to.get_ref() <= play.from_ms.unwrap_or(0)) {
                self.problems.add(source, to.span(), "the part ends before it begins");
            }
            add("play", span, music.map(|music| Act::Play(Box::new(play), music)));
        }
        if let Some((send, span)) = table.send.as_ref().map(both) {
            let song = send.song.as_ref().map(|name| self.song(source, name));
            if song.is_some() != send.messages.is_empty() {
                self.problems.add(source, span.clone(), "send has either messages or a song");
            }
            let song = song.flatten();
            add("send", span, Some(Act::Send(send, song)));
        }
        if let Some((capture, span)) = table.capture.as_ref().map(both) {
            let song = capture.song.as_ref().map(|name| self.song(source, name));
            if song.is_some() == capture.messages.is_some() {
                self.problems.add(source, span.clone(), "capture has either messages or a song");
            }
            let song = song.flatten();
            add("capture", span, Some(Act::Capture(capture, song)));
        }
        if let Some((property, span)) = table.property.as_ref().map(both) {
            let wrong = wrong_property(&property);
            wrong.iter().for_each(|message| self.problems.add(source, span.clone(), message));
            add("property", span, Some(Act::Property(Box::new(property))));
        }
        if let Some((download, span)) = table.download.as_ref().map(both) {
            self.download(source, &download, &span);
            add("download", span, Some(Act::Download(download)));
        }
        if let Some((wait, span)) = table.wait_for.as_ref().map(both) {
            if let Some(kind) =
                wait.struck.as_ref().filter(|kind| !InjectedFault::KINDS.contains(&kind.get_ref().as_str()))
            {
                let known = crate::document::nearest(kind.get_ref(), InjectedFault::KINDS);
                let hint = known.map_or_else(
                    || format!(", there is {}", InjectedFault::KINDS.join(", ")),
                    |word| format!("; did you mean `{word}`?"),
                );
                self.problems.add(source, kind.span(), &format!("no fault is called `{}`{hint}", kind.get_ref()));
            }
            if let Some(message) = wrong_wait(&wait) {
                self.problems.add(source, span.clone(), message);
            }
            add("wait_for", span, Some(Act::Wait(wait)));
        }
        if let Some((advance, span)) = table.advance.as_ref().map(both) {
            if matches!(advance, AdvanceStep { frames: None, ms: None } | AdvanceStep { frames: Some(_), ms: Some(_) })
            {
                self.problems.add(source, span.clone(), "advance has either frames or ms");
            }
            add("advance", span, Some(Act::Advance(advance)));
        }
        if let Some((fault, span)) = table.fault.as_ref().map(both) {
            add("fault", span, Some(Act::Fault(fault)));
        }
        if let Some((host, span)) = table.host.as_ref().map(both) {
            if let Some(message) = wrong_host(&host) {
                self.problems.add(source, span.clone(), message);
            }
            add("host", span, Some(Act::Host(Box::new(host))));
        }
        for (name, member, stops) in [("expect", &table.expect, true), ("check", &table.check, false)] {
            if let Some((expect, span)) = member.as_ref().map(both) {
                if let Some(message) = wrong_expectation(&expect) {
                    self.problems.add(source, span.clone(), message);
                }
                add(name, span, Some(Act::Expect(Box::new(expect), stops)));
            }
        }
        if let Some((save, span)) = table.save.as_ref().map(both) {
            add("save", span, Some(Act::Save(save)));
        }
        if let Some(branches) = &table.parallel {
            let span = branches.span();
            let act = self.parallel(source, branches.get_ref(), &span, number);
            add("parallel", span, Some(act));
        }
        if let Some((include, span)) = table.include.as_ref().map(both) {
            let act = self.include(source, &include, &span, number);
            add("include", span, act);
        }
        found
    }

    /// Returns the song of a name.
    fn song(&mut self, source: Source<'_>, name: &Spanned<String>) -> Option<SongSource> {
        let folder = source.path.parent().unwrap_or(Path::new("."));
        let found = SongSource::named(name.get_ref(), folder);
        if found.is_none() {
            let names = SongSource::names();
            let hint = crate::document::nearest(name.get_ref(), names)
                .map_or_else(|| format!("or one of {}", names.join(", ")), |word| format!("or did you mean `{word}`?"));
            self.problems.add(source, name.span(), &format!("no such song: name a file beside this one, {hint}"));
        }
        found
    }

    /// Makes a song of events.
    fn events(&mut self, source: Source<'_>, events: &[InlineEvent], span: &Span) -> Option<Song> {
        if let Some(event) = events.iter().find(|event| !card_control::event_list::is_one_message(&event.data.0)) {
            let message = format!("{:02x?} is not exactly one MIDI message with its status byte", event.data.0);
            self.problems.add(source, span.clone(), &message);
            return None;
        }
        let events = events.iter().map(|event| event_at(event.ms, event.group, event.data.0.clone()));
        Some(Song::of_events("events", events.collect()))
    }

    fn download(&mut self, source: Source<'_>, download: &DownloadStep, span: &Span) {
        let forms = [download.instrument.is_some(), download.file.is_some(), download.data.is_some()];
        if forms.into_iter().filter(|is| *is).count() != 1 {
            self.problems.add(source, span.clone(), "download has one of instrument, file and data");
        }
        if download.refused.is_some() && download.status.is_some() {
            self.problems.add(source, span.clone(), "a download has either a status or refused");
        }
        let folder = source.path.parent().unwrap_or(Path::new("."));
        if let Some(file) = download.file.as_ref().filter(|file| !folder.join(file.get_ref()).is_file()) {
            self.problems.add(
                source,
                file.span(),
                &format!("there is no file {}", folder.join(file.get_ref()).display()),
            );
        }
    }

    fn parallel(&mut self, source: Source<'_>, branches: &[Branch], span: &Span, number: &str) -> Act {
        if branches.len() < 2 {
            self.problems.add(source, span.start..span.start, "parallel has at least two lists of steps");
        }
        let mut planned = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let steps = self.list(source, &branch.step, &format!("{number}.{}.", index + 1));
            let name = branch.name.clone().unwrap_or_else(|| (index + 1).to_string());
            planned.push(PlannedBranch { name, steps });
        }
        let guests = planned.iter().filter(|branch| branch.steps.iter().any(|step| step.act.needs_guest())).count();
        if guests > 1 {
            let message = "the guest answers one request after another: only one list may have steps that talk to it; the others \
                           have fault, advance, send, host, and wait_for, expect, check and save of what the card knows";
            self.problems.add(source, span.start..span.start, message);
        }
        Act::Parallel(planned)
    }

    fn include(
        &mut self,
        source: Source<'_>,
        include: &crate::steps::document::IncludeStep,
        span: &Span,
        number: &str,
    ) -> Option<Act> {
        if self.depth == INCLUDES_MAX {
            let message = format!("files of steps include each other more than {INCLUDES_MAX} deep");
            self.problems.add(source, span.clone(), &message);
            return None;
        }
        let (count, depth) = (self.count, self.depth + 1);
        let included = with_included(include, (source, span.clone()), self.problems, |source, list, problems| {
            let mut reader = Reader { problems, count, depth, has_gaps: false };
            let steps = reader.list(source, &list.step, &format!("{number}."));
            (steps, reader.count, reader.has_gaps)
        });
        let (steps, count, has_gaps) = included?;
        self.count = count;
        self.has_gaps |= has_gaps;
        Some(Act::Include(steps))
    }
}

/// Returns what is wrong with a property request.
fn wrong_property(property: &PropertyStep) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    let PropertyStep { get, set_to, set_to_u32, support, node, synthesizer, pin, of_filter, .. } = property;
    let acts = [get.is_some(), set_to.is_some(), set_to_u32.is_some(), support.is_some()];
    if acts.into_iter().filter(|is| *is).count() != 1 {
        wrong.push("property has one of get, set_to, set_to_u32 and support");
    }
    if node.is_some() && synthesizer.is_some() {
        wrong.push("property has either a node or synthesizer");
    }
    if *of_filter && pin.is_some() {
        wrong.push("property goes either to the filter or to a pin");
    }
    wrong
}

/// Returns what is wrong with a wait.
fn wrong_wait(wait: &WaitStep) -> Option<&'static str> {
    let WaitStep { new_session, struck, log, finding, value, min, max, since, .. } = wait;
    if value.is_none() && (min.is_some() || max.is_some() || since.is_some()) {
        return Some("min, max and since are about a value: name it");
    }
    if value.is_some() && min.is_none() && max.is_none() {
        return Some("a value is waited for until it is within bounds: name min, max or both");
    }
    let nothing = new_session.is_none() && struck.is_none() && log.is_none() && finding.is_none() && value.is_none();
    nothing.then_some("name what is waited for: new_session, struck, log, finding or value")
}

/// Returns what is wrong with an act on the host.
fn wrong_host(host: &HostStep) -> Option<&'static str> {
    let HostStep { kill, suspend, qmp, control, shell, arguments, output, limit_s } = host;
    let acts = [kill.is_some(), suspend.is_some(), qmp.is_some(), control.is_some(), shell.is_some()];
    if acts.into_iter().filter(|is| *is).count() != 1 {
        return Some("host has one of kill, suspend, qmp, control and shell");
    }
    if arguments.is_some() && qmp.is_none() {
        return Some("arguments belong to a command of QEMU's monitor: qmp");
    }
    if limit_s.is_some() && shell.is_none() {
        return Some("limit_s belongs to a command of the shell");
    }
    (output.is_some() && (kill.is_some() || suspend.is_some())).then_some("what is killed or suspended has no output")
}

/// Returns what is wrong with an expectation.
fn wrong_expectation(expect: &ExpectStep) -> Option<&'static str> {
    let ExpectStep { value, min, max, equals, since, .. } = expect;
    let bounds = min.is_some() || max.is_some() || equals.is_some();
    if value.is_none() && (bounds || since.is_some()) {
        return Some("min, max, equals and since are about a value: name it");
    }
    if value.is_some() && !bounds {
        return Some("a value is compared with bounds: name min, max or equals");
    }
    if equals.is_some() && (min.is_some() || max.is_some()) {
        return Some("a value has either bounds or one value that it equals");
    }
    expect.is_empty().then_some("name what is expected")
}
