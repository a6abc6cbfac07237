//! What was done at the prompt, to do it again and to save it.

use std::fmt::Write;
use std::fs::{File, Metadata};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::words::text;
use crate::host::file_error::FileError;

/// A line that did something.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The line as it was typed.
    pub(super) line: String,
    /// Whether it may fail.
    pub(super) may_fail: bool,
    /// The step that it is, in TOML.
    pub(super) step: Option<String>,
    /// Why it failed.
    pub(super) failed: Option<String>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// The lines that did something, in order.
    pub(super) entries: Vec<Entry>,
    /// The scenario whose steps come first, with how many of them were carried out.
    pub(super) scenario: Option<(PathBuf, usize)>,
    /// The driver that was booted with, where one was named.
    pub(super) driver: Option<PathBuf>,
    /// The files that the session has written, by device and inode.
    pub(super) written: Vec<(u64, u64)>,
}

impl Log {
    /// Writes the session as a scenario.
    ///
    /// # Errors
    /// [`FileError`] for a file that cannot be read or written: [`AlreadyExists`](std::io::ErrorKind::AlreadyExists) for one that the
    /// session has not written.
    pub(super) fn save(&mut self, path: &Path) -> Result<usize, FileError> {
        let (scenario, first) = self.of_scenario()?;
        let mut text = scenario;
        for step in &first {
            let _ = write!(text, "\n[[step]]\n{step}\n");
        }
        let mut steps = first.len();
        for entry in &self.entries {
            if let Some(failed) = &entry.failed {
                let _ = write!(
                    text,
                    "\n# `{}` failed: {}",
                    comment(&entry.line),
                    comment(failed.lines().next().unwrap_or_default())
                );
            }
            match &entry.step {
                Some(step) => {
                    steps += 1;
                    let _ = write!(text, "\n[[step]]\n{}\n", from_here(step, path));
                }
                None => _ = write!(text, "\n# not a step: {}\n", comment(&entry.line)),
            }
        }
        let written = self.write(path, &text).map_err(FileError::own("write", path))?;
        self.written.push(identity(&written));
        Ok(steps)
    }

    /// Writes a file that is new or the session's own.
    fn write(&self, path: &Path, text: &str) -> std::io::Result<Metadata> {
        let is_own = std::fs::metadata(path).is_ok_and(|found| self.written.contains(&identity(&found)));
        let mut options = File::options();
        let mut file = options.write(true).truncate(is_own).create_new(!is_own).open(path)?;
        file.write_all(text.as_bytes())?;
        file.metadata()
    }

    /// Returns what comes before the lines: the scenario's own keys, and the steps of it that were carried out.
    fn of_scenario(&self) -> Result<(String, Vec<String>), FileError> {
        let command = match &self.driver {
            Some(driver) => format!("dmus run FILE --driver {}", comment(&driver.to_string_lossy())),
            None => "dmus run FILE".to_owned(),
        };
        let title = format!("title = {}\n# run it with: {command}\n", text("a session of the prompt"));
        let Some((path, count)) = &self.scenario else { return Ok((title, Vec::new())) };
        let file = std::fs::read_to_string(path).map_err(FileError::input(path))?;
        // It was read as a scenario before, so that it is a table.
        let mut table: toml::Table = file.parse().unwrap_or_default();
        let steps = table.remove("step");
        for key in ["title", "cleanup", "expect", "known_issue"] {
            table.remove(key);
        }
        let steps = steps.as_ref().and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let inline = |step: &toml::Value| step.as_table().map(lines_of).unwrap_or_default();
        Ok((title + &table.to_string(), steps.iter().take(*count).map(inline).collect()))
    }
}

/// Returns what tells a file from all others.
fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Returns a text as a comment can have it: without characters of control, which end it or are not allowed.
fn comment(text: &str) -> String {
    text.chars().fold(String::new(), |mut comment, letter| {
        if letter.is_control() && letter != '\t' {
            comment.extend(letter.escape_default());
        } else {
            comment.push(letter);
        }
        comment
    })
}

/// Returns a step with the files that it names as they are named from the folder of the saved file.
fn from_here(step: &str, saved: &Path) -> String {
    let in_this_folder = saved.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder == Path::new("."));
    let Ok(mut table) = step.parse::<toml::Table>() else { return step.to_owned() };
    if in_this_folder {
        return step.to_owned();
    }
    let mut changed = false;
    for members in table.iter_mut().filter_map(|(_, value)| value.as_table_mut()) {
        for name in ["song", "file"] {
            let Some(value) = members.get_mut(name) else { continue };
            let file = value.as_str().map(Path::new).filter(|path| path.is_file() && path.is_relative());
            if let Some(absolute) = file.and_then(|path| std::path::absolute(path).ok()) {
                *value = toml::Value::String(absolute.to_string_lossy().into_owned());
                changed = true;
            }
        }
    }
    if changed { lines_of(&table) } else { step.to_owned() }
}

/// Returns a step with a line for each of its members.
fn lines_of(step: &toml::Table) -> String {
    step.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_saved_as_a_scenario_that_can_be_read() {
        let entry = |line: &str, step: Option<&str>, failed: Option<&str>| Entry {
            line: line.into(),
            may_fail: false,
            step: step.map(str::to_owned),
            failed: failed.map(str::to_owned),
        };
        let mut log = Log {
            entries: vec![
                entry("load", Some("load = true"), None),
                entry("poke phys 0x1000 1", None, None),
                entry("mark \u{1b}[1m\r", None, None),
                entry("start", Some("start = true"), Some("rule 39\nand more")),
            ],
            driver: Some("a\nb.sys".into()),
            ..Log::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        assert_eq!(log.save(&path).unwrap(), 2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("# not a step: poke phys 0x1000 1"), "{text}");
        assert!(text.contains("# `start` failed: rule 39\n"), "{text}");
        let plan = crate::steps::Plan::parse(&path, &text).unwrap();
        assert_eq!(plan.steps.len(), 2);
        assert!(text.contains("\n# run it with: dmus run FILE --driver a\\nb.sys\n"), "{text}");
        assert!(text.contains("# not a step: mark \\u{1b}[1m\\r\n"), "{text}");
    }

    #[test]
    fn only_a_file_of_the_session_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, "of another").unwrap();
        let mut log = Log::default();
        assert_eq!(log.save(&path).unwrap_err().source.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of another");
        let own = folder.path().join("y.toml");
        log.save(&own).unwrap();
        log.save(&own).unwrap();
    }
}
