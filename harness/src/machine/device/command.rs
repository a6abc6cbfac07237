//! The command that starts a device of the user's.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Stands for the path of the vfio-user socket that the device listens on.
const SOCKET: &str = "{socket}";

/// Stands for the path of the control socket that the device may listen on.
const CONTROL: &str = "{control}";

/// Stands for the path of the trace that the device may record.
const TRACE: &str = "{trace}";

/// Characters of a command that messages show.
const NAME_CHARS: usize = 80;

/// Text that is no command of a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no program.
    #[error("the device command is empty: write PROGRAM ARGUMENTS {SOCKET} {CONTROL}")]
    Empty,
    /// A quotation mark has no end.
    #[error("a quotation mark has no end in the device command `{0}`")]
    Quotes(String),
    /// The command does not say where the device listens.
    #[error(
        "the device command `{0}` has no {SOCKET}: the device must be told the path of the vfio-user socket that it \
         listens on"
    )]
    NoSocket(String),
    /// A placeholder is none that the harness knows.
    #[error("the device command has the placeholder {{{0}}}: there are {SOCKET}, {CONTROL} and {TRACE}")]
    Placeholder(String),
}

/// The command that starts a device of the user's: a vfio-user server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCommand {
    text: String,
    words: Vec<String>,
    /// The folder in which it runs; the harness's own without one.
    folder: Option<PathBuf>,
}

impl DeviceCommand {
    /// Reads a command as a shell would split it. It runs in a folder, if one is given.
    ///
    /// # Errors
    /// [`CommandError`] for text without a program or without `{socket}`, and for placeholders that do not exist.
    pub fn parse(text: &str, folder: Option<&Path>) -> Result<Self, CommandError> {
        let text = text.trim();
        let words = shlex::split(text).ok_or_else(|| CommandError::Quotes(text.into()))?;
        if words.is_empty() || words[0].is_empty() {
            return Err(CommandError::Empty);
        }
        if let Some(name) = words.iter().find_map(|word| unknown_placeholder(word)) {
            return Err(CommandError::Placeholder(name));
        }
        if !words.iter().any(|word| word.contains(SOCKET)) {
            return Err(CommandError::NoSocket(text.into()));
        }
        // Relative to a folder that is there when it runs, whatever the harness's own is then.
        let folder = folder.map(|folder| std::path::absolute(folder).unwrap_or_else(|_| folder.into()));
        Ok(Self { text: text.into(), words, folder })
    }

    /// Returns the command of a program of crate `vfio-user-card`: the paths of both sockets, in this order, and that of a trace if it
    /// is to record one.
    #[must_use]
    pub fn of_program(program: &Path, trace: bool) -> Self {
        let mut words: Vec<String> = [&program.to_string_lossy(), SOCKET, CONTROL].map(str::to_owned).to_vec();
        if trace {
            words.extend(["--trace", TRACE].map(str::to_owned));
        }
        Self { text: words.join(" "), words, folder: None }
    }

    /// Returns its name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let shown: String = self.text.chars().take(NAME_CHARS).collect();
        let more = if shown.len() < self.text.len() { "..." } else { "" };
        format!("the device `{shown}{more}`")
    }

    /// Tells whether the device is given a control socket.
    #[must_use]
    pub fn has_control(&self) -> bool {
        self.words.iter().any(|word| word.contains(CONTROL))
    }

    /// Returns the command with the paths of its sockets and of its trace.
    #[must_use]
    pub fn command(&self, socket: &Path, control: &Path, trace: &Path) -> Command {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let (socket, control, trace) = (path(socket), path(control), path(trace));
        let filled = |word: &String| word.replace(SOCKET, &socket).replace(CONTROL, &control).replace(TRACE, &trace);
        let mut words = self.words.iter().map(filled);
        let program = words.next().unwrap_or_default();
        let mut command = match &self.folder {
            // A path is relative to the folder; a name is looked up in PATH.
            Some(folder) if program.contains('/') => Command::new(folder.join(program)),
            _ => Command::new(program),
        };
        command.args(words);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }
}

/// Returns the name of a placeholder that does not exist: a lower-case word in braces.
fn unknown_placeholder(word: &str) -> Option<String> {
    let mut rest = word;
    while let Some((_, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        if is_word && !["socket", "control", "trace"].contains(&name) {
            return Some(name.into());
        }
        rest = tail;
    }
    None
}

impl fmt::Display for DeviceCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_paths_in_the_places_of_its_placeholders() {
        let device = DeviceCommand::parse("python3 'my card.py' --listen={socket} {control} {trace}", None).unwrap();
        assert!(device.has_control());
        let command = device.command(Path::new("/t/a b"), Path::new("/t/c"), Path::new("/r/d"));
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words, ["my card.py", "--listen=/t/a b", "/t/c", "/r/d"]);
        assert_eq!(device.name(), "the device `python3 'my card.py' --listen={socket} {control} {trace}`");
    }

    #[test]
    fn runs_in_the_folder_of_its_scenario() {
        let device = DeviceCommand::parse("./card {socket}", Some(Path::new("/scenarios"))).unwrap();
        let command = device.command(Path::new("s"), Path::new("c"), Path::new("t"));
        assert_eq!(command.get_program(), "/scenarios/./card");
        assert_eq!(command.get_current_dir(), Some(Path::new("/scenarios")));
        let named = DeviceCommand::parse("python3 card.py {socket}", Some(Path::new("/scenarios"))).unwrap();
        assert_eq!(named.command(Path::new("s"), Path::new("c"), Path::new("t")).get_program(), "python3");
    }

    #[test]
    fn refuses_a_command_that_cannot_be_connected_to() {
        for (text, expected) in [
            ("", "is empty"),
            ("''", "is empty"),
            ("card 'x", "quotation mark"),
            ("card --socket /tmp/x", "has no {socket}"),
            ("card {socket} {log}", "{log}"),
        ] {
            let error = DeviceCommand::parse(text, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        // Braces that are the command's own.
        DeviceCommand::parse(r#"card {socket} '{"a":1}' {} {X}"#, None).unwrap();
    }
}
