//! Where lines come from: an editor at a terminal, standard input where it is none, and files that `source` names.

use std::collections::VecDeque;
use std::io::{IsTerminal, stdin};
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
    /// Whether it is done again, by `again`.
    pub(super) again: bool,
}

/// Why no line comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    /// There are no more.
    End,
    /// `look_around` wants no line.
    Gone,
}

/// Lines, in the order in which they are executed.
#[derive(Debug)]
pub(super) struct Input {
    /// Lines that come before what is typed.
    queue: VecDeque<Line>,
    lines: Receiver<Result<String, NoLine>>,
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
                Ok(line) => {
                    self.is_asked = false;
                    self.count += 1;
                    return line.map(|text| Line { place: format!("line {}", self.count), text, again: false });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(NoLine::End),
                Err(RecvTimeoutError::Timeout) if !look_around() => return Err(NoLine::Gone),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Reads lines as they come, each when it is wanted.
fn read(wants: &Receiver<()>, lines: &Sender<Result<String, NoLine>>) {
    let mut input = stdin().lines().map_while(Result::ok);
    while wants.recv().is_ok() {
        let line = input.next().ok_or(NoLine::End);
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// Lets a person edit lines.
fn edit(history: Option<&Path>, names: Names, wants: &Receiver<()>, lines: &Sender<Result<String, NoLine>>) {
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
                Err(_) => break Err(NoLine::End),
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
