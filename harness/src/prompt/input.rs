//! Where lines come from: an editor at a terminal, standard input where it is none, and files that `source` names.

use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal, stdin};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use super::complete::{Assistant, Names};

/// The interval at which a wait for a line looks around: whether the user has interrupted it, or the guest has gone.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// What the editor shows before a line.
const PROMPT: &str = "dmus> ";

/// Most lines of the history.
const HISTORY_MAX: usize = 1000;

/// A line with the place that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// `line 3`, or the file and the line.
    pub(super) place: String,
    /// The line.
    pub(super) text: String,
    /// What has it executed.
    pub(super) origin: Origin,
    /// Whether it may fail though it does not say so itself.
    pub(super) may_fail: bool,
}

/// What has a line executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was typed, or stands on standard input.
    Typed,
    /// `again`.
    Again,
    /// `source`, of these files, by device and inode: each in the one before it.
    Files(Vec<(u64, u64)>),
}

/// Why no line comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    /// There are no more.
    End,
    /// `look_around` wants no line.
    Gone,
    /// The next line is not UTF-8; this is what can be read of it.
    NotText(Line),
    /// Standard input cannot be read.
    Unreadable(String),
}

/// What standard input has next.
type Typed = Result<String, Untyped>;

/// Why standard input has no line.
#[derive(Debug)]
enum Untyped {
    /// It has ended.
    End,
    /// It is not UTF-8; this is what can be read of it.
    NotText(String),
    /// The host's words.
    Unreadable(String),
}

/// Lines, in the order in which they are executed.
#[derive(Debug)]
pub(super) struct Input {
    /// Lines that come before what is typed.
    queue: VecDeque<Line>,
    lines: Receiver<Typed>,
    wanted: Sender<()>,
    count: usize,
    is_asked: bool,
    /// Whether a person types.
    pub(super) is_terminal: bool,
}

impl Input {
    /// Begins to read standard input: by an editor where it is a terminal, whose history is in the file `history`.
    pub(super) fn new(history: Option<PathBuf>, names: Names) -> Self {
        let is_terminal = stdin().is_terminal();
        let (sender, lines) = channel();
        let (wanted, wants) = channel();
        // Ends with its input or with the process: a read cannot be waited for with a time limit.
        std::thread::spawn(move || {
            if is_terminal {
                edit(history.as_deref(), names, &wants, &sender);
            } else {
                read(&wants, &sender);
            }
        });
        Self { queue: VecDeque::new(), lines, wanted, count: 0, is_asked: false, is_terminal }
    }

    /// Puts lines before all others.
    pub(super) fn before(&mut self, lines: impl DoubleEndedIterator<Item = Line>) {
        lines.rev().for_each(|line| self.queue.push_front(line));
    }

    /// Forgets the lines that come from files.
    pub(super) fn forget(&mut self) {
        self.queue.clear();
    }

    /// Waits for the next line. `look_around` is asked now and then: it returns whether to go on waiting.
    pub(super) fn next(&mut self, mut look_around: impl FnMut() -> bool) -> Result<Line, NoLine> {
        if let Some(line) = self.queue.pop_front() {
            return Ok(line);
        }
        if !std::mem::replace(&mut self.is_asked, true) {
            // A thread that has gone has said so.
            let _ = self.wanted.send(());
        }
        loop {
            match self.lines.recv_timeout(LOOK_AROUND) {
                Ok(typed) => {
                    self.is_asked = false;
                    self.count += 1;
                    let place = format!("line {}", self.count);
                    let line = |text| Line { place, text, origin: Origin::Typed, may_fail: false };
                    return match typed {
                        Ok(text) => Ok(line(text)),
                        Err(Untyped::End) => Err(NoLine::End),
                        Err(Untyped::NotText(text)) => Err(NoLine::NotText(line(text))),
                        Err(Untyped::Unreadable(error)) => Err(NoLine::Unreadable(error)),
                    };
                }
                Err(RecvTimeoutError::Disconnected) => return Err(NoLine::End),
                Err(RecvTimeoutError::Timeout) if !look_around() => return Err(NoLine::Gone),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Reads lines as they come, each when it is wanted.
fn read(wants: &Receiver<()>, lines: &Sender<Typed>) {
    let mut input = stdin().lock();
    while wants.recv().is_ok() {
        if lines.send(read_line(&mut input)).is_err() {
            return;
        }
    }
}

/// Reads a line, without its end.
fn read_line(input: &mut impl BufRead) -> Typed {
    let mut bytes = Vec::new();
    match input.read_until(b'\n', &mut bytes) {
        Ok(0) => Err(Untyped::End),
        Ok(_) => {
            let text = String::from_utf8(bytes);
            let text = text.map_err(|error| {
                Untyped::NotText(String::from_utf8_lossy(error.as_bytes()).trim_end_matches(['\r', '\n']).to_owned())
            })?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        Err(error) => Err(Untyped::Unreadable(error.to_string())),
    }
}

/// Lets a person edit lines.
fn edit(history: Option<&Path>, names: Names, wants: &Receiver<()>, lines: &Sender<Typed>) {
    let config = Config::builder().max_history_size(HISTORY_MAX).map(rustyline::config::Builder::build);
    let editor = config.and_then(Editor::<Assistant, FileHistory>::with_config);
    let Ok(mut editor) = editor else { return read(wants, lines) };
    editor.set_helper(Some(Assistant::new(names)));
    if let Some(path) = history {
        // The first session has none.
        let _ = editor.load_history(path);
    }
    while wants.recv().is_ok() {
        let line = loop {
            match editor.readline(PROMPT) {
                Ok(line) => break Ok(line),
                Err(ReadlineError::Interrupted) => crate::report::error_line("`quit` or Ctrl-D leaves"),
                Err(ReadlineError::Eof) => break Err(Untyped::End),
                Err(error) => break Err(Untyped::Unreadable(error.to_string())),
            }
        };
        if let (Ok(text), Some(path)) = (&line, history)
            && !text.trim().is_empty()
        {
            let _ = editor.add_history_entry(text);
            // A history that cannot be kept costs no line.
            let _ = editor.append_history(path);
        }
        if lines.send(line).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_utf8_is_no_end() {
        let mut input = b"load\r\nmark \xe4\nquit".as_slice();
        assert_eq!(read_line(&mut input).unwrap(), "load");
        assert!(matches!(read_line(&mut input), Err(Untyped::NotText(text)) if text == "mark \u{fffd}"));
        assert_eq!(read_line(&mut input).unwrap(), "quit");
        assert!(matches!(read_line(&mut input), Err(Untyped::End)));
    }
}
