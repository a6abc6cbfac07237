//! Reads of `setup.cmd` what a Windows would say while it runs it, and the files that it needs.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A line of the script that matters to the stand-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A message to the harness: `call :say WORDS`.
    Say(String),
    /// A file beside the script, as `"%here%NAME"`.
    Needs(String),
}

/// Returns the messages of a script up to its end, and the files that it takes from its own folder, in order. Messages behind a condition
/// or a label other than its steps' are those of a failure, and left out.
#[must_use]
pub fn read(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("rem ") {
            continue;
        }
        if line.starts_with(":failed") {
            break;
        }
        if let Some(words) = line.strip_prefix("call :say ") {
            lines.push(Line::Say(words.to_owned()));
        }
        for part in line.split("\"%here%").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            lines.push(Line::Needs(name.to_owned()));
        }
    }
    lines
}

/// Tells whether a command line turns a Windows off: `shutdown.exe` with `/s`.
#[must_use]
pub fn turns_off(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let program = words.next().and_then(|path| path.rsplit('\\').next()).unwrap_or_default();
    ["shutdown", "shutdown.exe"].iter().any(|name| program.eq_ignore_ascii_case(name))
        && words.any(|word| word.eq_ignore_ascii_case("/s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_turns_a_windows_off_from_what_starts_it_anew() {
        assert!(turns_off("%SystemRoot%\\System32\\shutdown.exe /s /t 0"));
        assert!(!turns_off("shutdown /r /t 0") && !turns_off("cmd /c shutdown.txt /s") && !turns_off(""));
    }

    #[test]
    fn reads_messages_and_files_in_order() {
        let script = "@echo off\r\ncall :say begin\r\nrem \"%here%no\"\r\nif x call :say failed\r\ncertutil \"%here%a.cer\" >nul\r\n\
                      call :say done\r\n:failed\r\ncall :say failed x\r\n";
        let expected = [Line::Say("begin".into()), Line::Needs("a.cer".into()), Line::Say("done".into())];
        assert_eq!(read(script), expected);
    }
}
