//! A breakpoint at a line of the driver's, by file and line.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::error::DebuggerError;
use super::lines::Lines;
use crate::document::nearest;

/// A line of a source file of the driver's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakAt {
    /// The file: its name, or the end of its path.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

impl FromStr for BreakAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (file, line) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` is no FILE:LINE"))?;
        let line = line.parse().ok().filter(|line| *line > 0);
        match line {
            Some(line) if !file.is_empty() => Ok(Self { file: file.into(), line }),
            _ => Err(format!("`{text}` is no FILE:LINE, such as adapter.cpp:75")),
        }
    }
}

impl fmt::Display for BreakAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Returns whether a path ends with the parts of another.
fn ends_with(path: &str, end: &str) -> bool {
    let parts = |text: &str| text.split(['/', '\\']).map(str::to_lowercase).rev().collect::<Vec<_>>();
    let (path, end) = (parts(path), parts(end.trim_start_matches("./")));
    path.len() >= end.len() && path[..end.len()] == end[..]
}

impl BreakAt {
    /// Checks that the driver has code there.
    ///
    /// # Errors
    /// [`DebuggerError::NoLines`] for a driver without debug information, [`DebuggerError::NoFile`] with the name that was probably
    /// meant, [`DebuggerError::NoCode`] with the nearest lines that have code.
    pub fn check(&self, driver: &Path, lines: &Lines) -> Result<(), DebuggerError> {
        if let Some(reason) = lines.missing() {
            return Err(DebuggerError::NoLines { place: self.to_string(), driver: driver.into(), reason });
        }
        let with_code: Vec<u32> = lines
            .files()
            .filter(|(path, _)| ends_with(path, &self.file))
            .flat_map(|(_, lines)| lines)
            .copied()
            .collect();
        if with_code.is_empty() {
            let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
            let names: Vec<String> = lines.files().map(|(path, _)| name(path)).collect();
            let found = nearest(&name(&self.file), names.iter().map(String::as_str));
            let nearest = found.map_or_else(String::new, |found| format!("; the nearest name is {found}"));
            return Err(DebuggerError::NoFile { driver: driver.into(), file: self.file.clone(), nearest });
        }
        if with_code.contains(&self.line) {
            return Ok(());
        }
        let before = with_code.iter().filter(|line| **line < self.line).max();
        let after = with_code.iter().filter(|line| **line > self.line).min();
        let nearest = match (before, after) {
            (Some(before), Some(after)) => format!("are {before} and {after}"),
            (Some(line), None) | (None, Some(line)) => format!("is {line}"),
            (None, None) => "is none".into(),
        };
        Err(DebuggerError::NoCode { driver: driver.into(), file: self.file.clone(), line: self.line, nearest })
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::DebugInformation;
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let lines = Lines::of(
            DebugInformation::Pdb,
            [
                ("guest-driver\\sys\\src\\adapter.rs", 10),
                ("guest-driver\\sys\\src\\adapter.rs", 20),
                ("C:/x/Miniport.cpp", 7),
            ],
        );
        text.parse::<BreakAt>()?.check(Path::new("my.sys"), &lines).map_err(|error| error.to_string())
    }

    #[test]
    fn finds_a_line_by_the_end_of_its_path() {
        for text in
            ["adapter.rs:10", "src/adapter.rs:20", "sys\\src\\adapter.rs:20", "./adapter.rs:10", "miniport.cpp:7"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn refuses_what_the_driver_has_not_with_what_it_has() {
        assert_eq!(check("adapter.rs").unwrap_err(), "`adapter.rs` is no FILE:LINE");
        assert!(check("adapter.rs:0").unwrap_err().contains("is no FILE:LINE"));
        assert!(check(":3").unwrap_err().contains("is no FILE:LINE"));
        let error = check("adaptor.rs:10").unwrap_err();
        assert_eq!(error, "no source file of my.sys is called adaptor.rs; the nearest name is adapter.rs");
        let error = check("apter.rs:10").unwrap_err();
        assert!(error.starts_with("no source file of my.sys is called apter.rs"), "{error}");
        let error = check("adapter.rs:12").unwrap_err();
        assert_eq!(error, "line 12 of adapter.rs has no code in my.sys; the nearest with code are 10 and 20");
        assert!(check("adapter.rs:99").unwrap_err().ends_with("the nearest with code is 20"));
    }

    #[test]
    fn says_why_a_driver_has_no_lines() {
        let place: BreakAt = "a.c:1".parse().unwrap();
        let error = place.check(Path::new("my.sys"), &Lines::of(DebugInformation::None, [])).unwrap_err();
        assert!(
            error.to_string().starts_with("a.c:1 cannot be found in my.sys: it has no debug information"),
            "{error}"
        );
    }
}
