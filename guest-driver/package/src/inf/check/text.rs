//! Encoding, headings and strings.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use super::known;
use crate::inf::{Entry, File};

/// Checks the encoding; returns whether the file can be read on.
pub(super) fn encoding(bytes: &[u8], findings: &mut Findings) -> bool {
    match bytes {
        [0xfe, 0xff, ..] => findings.add(1003, (1, 1), "it is UTF-16 with the high byte first"),
        [0xef, 0xbb, 0xbf, ..] => findings.add(1003, (1, 1), "it is UTF-8: save it as UTF-16 with the low byte first"),
        [0xff, 0xfe, ..] => return true,
        _ if bytes.contains(&0) => {
            findings.add(1003, (1, 1), "it has zero bytes: it is no text, or UTF-16 without its mark");
        }
        // Letters beyond ASCII that are well-formed UTF-8 are hardly anything else.
        _ if !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok() => {
            findings.add(1003, (1, 1), "it is UTF-8 without a mark: save it as UTF-16 with the low byte first");
        }
        _ => return true,
    }
    // What else is wrong can be told, save of what is no text.
    !matches!(bytes, [0xfe, 0xff, ..]) && !bytes.contains(&0)
}

/// Checks that no section has two headings.
pub(super) fn headings(file: &File, findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for (name, line) in file.headings() {
        if let Some(first) = seen.get(name) {
            findings.add(1209, (*line, 1), format!("[{name}] has a heading in line {first} already"));
        } else {
            seen.insert(name, *line);
        }
    }
}

/// Checks that each section is named by something. `used` are those that are, in lower case.
pub(super) fn unused(file: &File, used: &BTreeSet<String>, findings: &mut Findings) {
    for (name, section) in file.sections() {
        if !used.contains(name) && !known::is_standard_section(name) {
            findings.add(
                2083,
                (section.line, 1),
                format!("nothing names [{}]: what is in it has no effect", section.name),
            );
        }
    }
}

/// The text of fields, with tokens replaced.
pub(super) struct Text {
    strings: BTreeMap<String, String>,
}

impl Text {
    /// Reads the strings of every language, and checks the tokens of all entries.
    pub(super) fn of(file: &File, findings: &mut Findings) -> Self {
        let mut strings = BTreeMap::new();
        for section in file.section("strings").into_iter().chain(file.sections_with("strings.")) {
            for entry in &section.entries {
                let Some(key) = entry.key.as_deref() else { continue };
                strings.entry(key.trim_matches('%').to_lowercase()).or_insert_with(|| entry.fields.join(","));
            }
        }
        let text = Self { strings };
        for (name, section) in file.sections() {
            if name == "strings" || name.starts_with("strings.") {
                continue;
            }
            for entry in &section.entries {
                text.check_tokens(entry, findings);
            }
        }
        text
    }

    /// Returns a field with its tokens replaced, as far as they are defined; empty where it is not there.
    pub(super) fn field(&self, entry: &Entry, index: usize) -> String {
        entry.fields.get(index).map(|field| self.expand(field)).unwrap_or_default()
    }

    /// Returns text with its tokens replaced, as far as they are defined.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            expanded.push_str(before);
            let Some((token, tail)) = after.split_once('%') else {
                expanded.push('%');
                rest = after;
                continue;
            };
            match self.strings.get(&token.to_lowercase()) {
                Some(value) => expanded.push_str(value),
                None if token.is_empty() => expanded.push('%'),
                None => {
                    expanded.push('%');
                    expanded.push_str(token);
                    expanded.push('%');
                }
            }
            rest = tail;
        }
        expanded.push_str(rest);
        expanded
    }

    fn check_tokens(&self, entry: &Entry, findings: &mut Findings) {
        let key = entry.key.iter().map(|key| (key, (entry.line, entry.column)));
        let fields = entry.fields.iter().enumerate().map(|(index, field)| (field, entry.place(index)));
        for (text, place) in key.chain(fields) {
            let mut rest = text.as_str();
            while let Some((_, after)) = rest.split_once('%') {
                let Some((token, tail)) = after.split_once('%') else { break };
                let is_folder = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
                if !token.is_empty() && !is_folder && !self.strings.contains_key(&token.to_lowercase()) {
                    findings.add(1235, place, format!("%{token}% is not in [Strings]; a percent sign is written %%"));
                }
                rest = tail;
            }
        }
    }
}
