//! What the editor offers: verbs, their first words, files, and a hint of the arguments.

use std::sync::{Arc, Mutex, PoisonError};

use card_control::InjectedFault;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::properties::PROPERTIES;
use super::table::{self, Argument};
use crate::sound::song_source::SongSource;

/// The names of streams that are open, as the prompt sees them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Arc<Mutex<Vec<String>>>);

impl Names {
    /// Sets them.
    pub(super) fn set(&self, names: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The editor's helper.
pub(super) struct Assistant {
    files: FilenameCompleter,
    names: Names,
}

impl Assistant {
    /// Creates one that knows these names.
    pub(super) fn new(names: Names) -> Self {
        Self { files: FilenameCompleter::new(), names }
    }
}

/// Returns the words that a line can go on with, and where the word that is completed begins; `None` for a file.
fn candidates(line: &str, streams: &[String]) -> (usize, Vec<String>, bool) {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let mut words = line[..start].split_whitespace();
    let part = &line[start..];
    let (all, files): (Vec<String>, bool) = match (words.next(), words.next()) {
        (None, _) => (table::names().map(str::to_owned).collect(), false),
        (Some(verb), None) => match table::find(verb.trim_start_matches('-')).map(|verb| verb.first) {
            Ok(Argument::Words(words)) => (words.iter().map(|&word| word.to_owned()).collect(), false),
            Ok(Argument::File) => (Vec::new(), true),
            Ok(Argument::Song) => (SongSource::names().into_iter().map(Into::into).collect(), true),
            Ok(Argument::Stream) => (streams.to_vec(), false),
            Ok(Argument::Fault) => (InjectedFault::KINDS.iter().map(|&word| word.to_owned()).collect(), false),
            Ok(Argument::Property) => (PROPERTIES.iter().map(|property| property.name.to_owned()).collect(), false),
            Ok(Argument::Verb) => (table::names().map(str::to_owned).collect(), false),
            Ok(Argument::Any) | Err(_) => (Vec::new(), false),
        },
        // Members of a step, as its arguments name them.
        (Some(verb), Some(_)) => {
            let arguments = table::find(verb).map_or("", |verb| verb.arguments);
            let names = arguments.split(['[', ']', ' ', ',']).filter_map(|word| word.split_once('='));
            (names.map(|(name, _)| format!("{name}=")).collect(), false)
        }
    };
    (start, all.into_iter().filter(|word| word.starts_with(part)).collect(), files)
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words, files) = candidates(&line[..at], &self.names.get());
        let mut pairs: Vec<Pair> =
            words.into_iter().map(|word| Pair { display: word.clone(), replacement: word }).collect();
        if files {
            let (from, found) = self.files.complete(line, at, context)?;
            if from == start || pairs.is_empty() {
                pairs.extend(found);
                return Ok((from, pairs));
            }
        }
        Ok((start, pairs))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    /// Returns the arguments of a verb behind which nothing is typed yet.
    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<String> {
        let name = line.strip_suffix(' ').filter(|name| at == line.len() && !name.contains(' '))?;
        table::find(name).ok().map(|verb| verb.arguments.to_owned()).filter(|hint| !hint.is_empty())
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> std::borrow::Cow<'h, str> {
        format!("\x1b[2m{hint}\x1b[0m").into()
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_verbs_their_first_words_and_their_members() {
        let words = |line: &str| candidates(line, &["a".into()]).1;
        assert_eq!(words("cou"), ["counters"]);
        assert_eq!(words("state r"), ["run"]);
        assert_eq!(words("fault lost-i"), ["lost-interrupt"]);
        assert_eq!(words("close "), ["a"]);
        assert_eq!(words("play tide from"), ["from_ms="]);
        assert_eq!(words("property KSPROPERTY_SYNTH_LAT"), ["KSPROPERTY_SYNTH_LATENCYCLOCK"]);
        assert!(words("nothing x").is_empty());
    }
}
