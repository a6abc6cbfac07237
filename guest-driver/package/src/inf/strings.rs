//! String tokens: `%name%` and what `[Strings]` says for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::fault::{Fault, STRINGS};
use super::syntax::{FIELD_CHARS_MAX, File};

/// The language of the strings where there are some of several: English, as the guest is an English Windows.
const LANGUAGES: [&str; 2] = ["strings.0409", "strings.0009"];

/// Folders by their number (DIRID), as an x64 Windows on drive C has them.
const FOLDERS: [(&str, &str); 9] = [
    ("01", "C:\\driver"),
    ("10", "C:\\Windows"),
    ("11", "C:\\Windows\\System32"),
    ("12", "C:\\Windows\\System32\\drivers"),
    ("13", "C:\\Windows\\System32\\DriverStore\\FileRepository\\driver"),
    ("17", "C:\\Windows\\INF"),
    ("18", "C:\\Windows\\Help"),
    ("20", "C:\\Windows\\Fonts"),
    ("24", "C:\\"),
];

/// The strings of an INF.
#[derive(Debug)]
pub struct Strings {
    /// By token in lower case.
    values: BTreeMap<String, String>,
    /// Tokens that nothing defines, with the line where each was met.
    undefined: RefCell<BTreeSet<(usize, String)>>,
}

impl Strings {
    /// Reads the strings of a file: those of its language before those of none.
    ///
    /// # Errors
    /// A [`Fault`] for an entry that is no `token = text`.
    pub fn of(file: &File) -> Result<Self, Fault> {
        let mut values = BTreeMap::new();
        let languages = LANGUAGES.iter().filter_map(|name| file.section(name));
        // Of another language only where there is nothing else.
        let others = file.sections_with("strings.");
        for section in languages.chain(file.section("strings")).chain(others) {
            for entry in &section.entries {
                let Some(key) = entry.key.as_deref().filter(|key| !key.is_empty()) else {
                    return Err(Fault::new(entry.line, "an entry of [Strings] is token = \"text\"", STRINGS));
                };
                // A comma needs no quotation marks here: nothing is listed.
                let text = entry.fields.join(",");
                values.entry(key.trim_matches('%').to_lowercase()).or_insert(text);
            }
        }
        Ok(Self { values, undefined: RefCell::default() })
    }

    /// Returns text with its tokens replaced. `%%` is a percent sign; a token that is a number is a folder's; one that
    /// nothing defines stays, and is warned of.
    ///
    /// # Errors
    /// A [`Fault`] for text that becomes longer than a value can be.
    pub fn expand(&self, line: usize, text: &str) -> Result<String, Fault> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            expanded.push_str(before);
            let Some((token, tail)) = after.split_once('%') else {
                expanded.push('%');
                rest = after;
                continue;
            };
            if token.is_empty() {
                expanded.push('%');
            } else if let Some(value) = self.values.get(&token.to_lowercase()) {
                expanded.push_str(value);
            } else if let Some((_, folder)) = FOLDERS.iter().find(|(number, _)| *number == token) {
                expanded.push_str(folder);
            } else {
                if !token.contains(char::is_whitespace) {
                    self.undefined.borrow_mut().insert((line, token.to_owned()));
                }
                // The second sign may begin the next token.
                expanded.push('%');
                rest = after;
                continue;
            }
            rest = tail;
            if expanded.len() > 4 * FIELD_CHARS_MAX {
                break;
            }
        }
        expanded.push_str(rest);
        if expanded.chars().count() > FIELD_CHARS_MAX {
            let what = format!("with its tokens replaced, a value has more than {FIELD_CHARS_MAX} characters");
            return Err(Fault::new(line, what, STRINGS));
        }
        Ok(expanded)
    }

    /// Lists the tokens that nothing defines.
    pub fn warnings(&self, path: &Path) -> Vec<String> {
        let text = |(line, token): &(usize, String)| {
            format!("{}:{line}: %{token}% is not in [Strings], and stays as it is [{STRINGS}]", path.display())
        };
        self.undefined.borrow().iter().map(text).collect()
    }
}
