//! Verbs about the prompt itself.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::answer::{Answer, Refusal};
use super::input::{Line, Origin};
use super::table::{self, Act};
use super::turn::Turn;
use super::words::Words;
use crate::host::failure::Diagnosed;
use crate::host::file_error::FileError;
use crate::provision::driver_file;

/// How the prompt goes on behind a line.
#[derive(Debug)]
pub(super) enum Flow {
    /// With the next line.
    Next(Answer),
    /// With these lines, before others.
    Lines(Vec<Line>, Answer),
    /// The steps of the scenario go on.
    Continue,
    /// The guest is left.
    Leave,
    /// Everything begins anew, with another driver if there is one.
    Again(Option<PathBuf>),
}

/// Does what a verb about the prompt says.
///
/// # Errors
/// [`Refusal`] for words that the verb does not have, and files that cannot be read or written.
pub(super) fn run(act: Act, turn: &mut Turn<'_, '_>, words: &Words, origin: &Origin) -> Result<Flow, Refusal> {
    match act {
        Act::Help => help(words),
        Act::Source => source(words, origin),
        Act::Save => save(turn, words),
        Act::Again => again(words),
        Act::Continue => go_on(turn, words),
        Act::Quit => words.at_most(0).map(|()| Flow::Leave).map_err(Refusal::from),
    }
}

fn help(words: &Words) -> Result<Flow, Refusal> {
    words.at_most(1)?;
    let text = match words.get(0) {
        None => table::help(),
        Some(name) => {
            let verb = table::find(&name)?;
            let aliases =
                if verb.aliases.is_empty() { String::new() } else { format!("\nalso: {}", verb.aliases.join(", ")) };
            let kinds = if verb.first == table::Argument::Fault {
                format!("\nkinds: {}", card_control::InjectedFault::KINDS.join(", "))
            } else {
                String::new()
            };
            format!("{} {}\n{}{aliases}{kinds}", verb.name, verb.arguments, verb.help)
        }
    };
    Ok(Flow::Next(Answer::of_text(text)))
}

fn failed(error: &FileError) -> Refusal {
    let mut refusal = Refusal::of(error.class(), error.to_string());
    refusal.0.remedy = error.remedy();
    refusal
}

/// Most files that are read one within another.
const FILES_MAX: usize = 16;

fn source(words: &Words, origin: &Origin) -> Result<Flow, Refusal> {
    words.at_most(1)?;
    let path = PathBuf::from(words.need(0, "a file")?);
    let read = |error| failed(&FileError::input(&path)(error));
    let same = std::fs::metadata(&path).map(|found| (found.dev(), found.ino())).map_err(read)?;
    let within = match origin {
        Origin::Files(files) => files.as_slice(),
        Origin::Typed | Origin::Again => &[],
    };
    let refuse = |why: &str| Refusal::usage(format!("{} is not read: {why}", path.display()));
    if within.contains(&same) {
        return Err(refuse("this line is one of its own, or of a file that it reads; leave the line out"));
    }
    if within.len() >= FILES_MAX {
        return Err(refuse(&format!("it would be the {}th file within another; {FILES_MAX} can be", within.len() + 1)));
    }
    let text = std::fs::read_to_string(&path).map_err(read)?;
    let files: Vec<_> = within.iter().copied().chain([same]).collect();
    let line = |(number, text): (usize, &str)| Line {
        place: format!("{}:{}", path.display(), number + 1),
        text: text.to_owned(),
        origin: Origin::Files(files.clone()),
        may_fail: false,
    };
    let lines: Vec<_> = text.lines().enumerate().map(line).collect();
    let answer = Answer::of_text(format!("{} lines of {}", lines.len(), path.display()));
    Ok(Flow::Lines(lines, answer))
}

fn save(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Flow, Refusal> {
    words.at_most(1)?;
    let path = PathBuf::from(words.need(0, "a file, such as session.toml,")?);
    if path.extension().is_none_or(|extension| extension != "toml") {
        return Err(Refusal::usage(format!("`{}` is no scenario: its name ends in .toml", path.display())));
    }
    let steps = turn.log.save(&path).map_err(|error| match error.source.kind() {
        std::io::ErrorKind::AlreadyExists => Refusal::usage(format!(
            "{} exists, and this session has not written it: name another file, or move it away",
            path.display()
        )),
        _ => failed(&error),
    })?;
    let lines = turn.log.entries.iter().filter(|entry| entry.step.is_none()).count();
    let beside =
        if lines == 0 { String::new() } else { format!("; {lines} lines are no steps, and stand in comments") };
    Ok(Flow::Next(Answer::new(
        format!("{steps} steps are in {}{beside}", path.display()),
        serde_json::json!({ "file": crate::host::lossy::text(&path), "steps": steps, "not_steps": lines }),
    )))
}

fn again(words: &Words) -> Result<Flow, Refusal> {
    words.at_most(1)?;
    let driver = words.get(0).map(PathBuf::from);
    if let Some(path) = &driver {
        // A file that is no driver costs nothing: the guest goes on.
        driver_file::check(path).map_err(|error| Refusal::of(error.class(), error.to_string()))?;
    }
    Ok(Flow::Again(driver))
}

fn go_on(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Flow, Refusal> {
    words.at_most(0)?;
    if turn.has_more && !turn.is_lost() {
        return Ok(Flow::Continue);
    }
    Err(Refusal::usage("no steps of a scenario come behind this prompt: see boot --scenario FILE --stop-at STEP"))
}
