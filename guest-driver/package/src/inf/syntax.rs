//! From the text of an INF to sections of entries, each with its line.

use std::collections::BTreeMap;

use super::fault::{Fault, SYNTAX};

/// Longest name of a section, in characters.
const SECTION_NAME_MAX: usize = 255;

/// Longest entry, in characters, continuation lines included.
const ENTRY_CHARS_MAX: usize = 4096 * 16;

/// Longest field, in characters.
pub const FIELD_CHARS_MAX: usize = 4096;

/// Most entries of a file: a file of 4 MiB has as many lines of two bytes.
const ENTRIES_MAX: usize = 200_000;

/// An entry of a section: `key = value, value` or `value, value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// What is left of `=`.
    pub key: Option<String>,
    /// What the commas separate, quotation marks taken off; tokens are still in it.
    pub fields: Vec<String>,
    /// The column of its key, or of its first field, from 1.
    pub column: usize,
    /// Line and column of each field, from 1.
    pub places: Vec<(usize, usize)>,
}

impl Entry {
    /// Returns a field, if it is there and not empty.
    pub fn field(&self, index: usize) -> Option<&str> {
        self.fields.get(index).map(String::as_str).filter(|field| !field.is_empty())
    }

    /// Returns line and column of a field, or of the entry.
    #[must_use]
    pub fn place(&self, index: usize) -> (usize, usize) {
        self.places.get(index).copied().unwrap_or((self.line, self.column))
    }

    /// Tells whether its key is a name, whatever the case.
    pub fn is(&self, name: &str) -> bool {
        self.key.as_deref().is_some_and(|key| key.eq_ignore_ascii_case(name))
    }
}

/// A section.
#[derive(Clone, Debug)]
pub struct Section {
    /// The name, as it is written first.
    pub name: String,
    /// The line of that, from 1.
    pub line: usize,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// An INF: its sections by name in lower case. Sections of one name are one.
#[derive(Clone, Debug, Default)]
pub struct File {
    sections: BTreeMap<String, Section>,
    /// Every heading in the order of the file: its section's name in lower case, and its line.
    headings: Vec<(String, usize)>,
}

impl File {
    /// Splits text into sections and entries.
    ///
    /// # Errors
    /// A [`Fault`] for an entry outside of a section, a malformed section line, and a quotation mark without an end.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut file = Self::default();
        let mut section: Option<String> = None;
        // Control-Z ends a text of old.
        let text = text.split('\u{1a}').next().unwrap_or_default();
        let mut lines = text.split('\n').enumerate().map(|(index, line)| (index + 1, line.trim_end_matches('\r')));
        let mut count = 0;
        while let Some((number, line)) = lines.next() {
            let whole = line;
            let line = line.trim();
            if line.starts_with('[') {
                let name = section_name(number, line)?;
                let key = name.to_lowercase();
                file.headings.push((key.clone(), number));
                file.sections.entry(key.clone()).or_insert_with(|| Section { name, line: number, entries: Vec::new() });
                section = Some(key);
                continue;
            }
            let mut tokens = Tokens::new(number);
            let mut rest = Some((number, whole));
            while let Some((number, part)) = rest {
                let continues = tokens.take(number, part)?;
                rest = continues.then(|| lines.next()).flatten();
            }
            let Some(entry) = tokens.entry()? else { continue };
            let Some(section) = &section else {
                return Err(Fault::new(number, "the entry stands before the first section", SYNTAX));
            };
            count += 1;
            if count > ENTRIES_MAX {
                return Err(Fault::new(number, format!("there are more than {ENTRIES_MAX} entries"), SYNTAX));
            }
            file.sections.entry(section.clone()).and_modify(|section| section.entries.push(entry));
        }
        Ok(file)
    }

    /// Returns a section, whatever the case of its name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(&name.to_lowercase())
    }

    /// Returns all sections, by their names in lower case.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.sections.iter().map(|(name, section)| (name.as_str(), section))
    }

    /// Returns every heading in the order of the file: its section's name in lower case, and its line.
    #[must_use]
    pub fn headings(&self) -> &[(String, usize)] {
        &self.headings
    }

    /// Returns the sections whose names begin like this, in lower case.
    pub fn sections_with(&self, prefix: &str) -> impl Iterator<Item = &Section> {
        let prefix = prefix.to_lowercase();
        self.sections.range(prefix.clone()..).take_while(move |(name, _)| name.starts_with(&prefix)).map(|(_, s)| s)
    }
}

fn section_name(number: usize, line: &str) -> Result<String, Fault> {
    let fault = |what: &str| Fault::new(number, what, SYNTAX);
    let inside = &line[1..];
    let (name, rest) = match inside.strip_prefix('"') {
        Some(quoted) => {
            let (name, rest) = quoted.split_once('"').ok_or_else(|| fault("a quotation mark has no end"))?;
            let rest = rest.trim_start().strip_prefix(']');
            (name, rest.ok_or_else(|| fault("the name of a section ends with `]`"))?)
        }
        None => inside.split_once(']').ok_or_else(|| fault("the name of a section ends with `]`"))?,
    };
    let name = name.trim();
    if name.is_empty() {
        return Err(fault("the section has no name"));
    }
    if name.chars().count() > SECTION_NAME_MAX {
        return Err(fault(&format!("the name of the section has more than {SECTION_NAME_MAX} characters")));
    }
    let rest = rest.trim_start();
    if !rest.is_empty() && !rest.starts_with(';') {
        return Err(fault("the name of a section stands on a line of its own"));
    }
    Ok(name.into())
}

/// Splits an entry, which may go over several lines.
struct Tokens {
    line: usize,
    key: Option<String>,
    fields: Vec<String>,
    current: String,
    /// How much of the current field stands, trailing white space outside quotation marks left out.
    significant: usize,
    /// Whether there is anything but white space and comments.
    any: bool,
    chars: usize,
    /// Where the entry begins, the field that is read begins, and each field did.
    column: usize,
    begin: Option<(usize, usize)>,
    places: Vec<(usize, usize)>,
}

impl Tokens {
    const fn new(line: usize) -> Self {
        Self {
            line,
            key: None,
            fields: Vec::new(),
            current: String::new(),
            significant: 0,
            any: false,
            chars: 0,
            column: 0,
            begin: None,
            places: Vec::new(),
        }
    }

    /// Takes a line. Returns whether the next one belongs to the entry.
    fn take(&mut self, number: usize, whole: &str) -> Result<bool, Fault> {
        let line = whole.trim();
        let indent = whole.chars().take_while(|character| character.is_whitespace()).count();
        self.chars += line.chars().count();
        if self.chars > ENTRY_CHARS_MAX {
            return Err(Fault::new(self.line, format!("the entry has more than {ENTRY_CHARS_MAX} characters"), SYNTAX));
        }
        let mut quoted = false;
        let mut chars = line.chars().peekable();
        let mut column = indent;
        while let Some(character) = chars.next() {
            column += 1;
            if self.column == 0 && !character.is_whitespace() {
                self.column = column;
            }
            if self.begin.is_none() && !character.is_whitespace() && !matches!(character, ',' | '=' | ';') {
                self.begin = Some((number, column));
            }
            match character {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    column += 1;
                    self.push('"');
                }
                '"' => {
                    quoted = !quoted;
                    self.any = true;
                    self.significant = self.current.len();
                }
                character if quoted => self.push(character),
                ';' => return self.finish_line(false),
                ',' => self.next_field((number, column)),
                '=' if self.key.is_none() && self.fields.is_empty() => {
                    let key = std::mem::take(&mut self.current);
                    self.key = Some(key[..self.significant].to_owned());
                    self.significant = 0;
                    self.begin = None;
                    self.any = true;
                }
                '\\' if is_end(chars.clone()) => return self.finish_line(true),
                character if character.is_whitespace() => {
                    // Before a field it means nothing; behind one it may.
                    if !self.current.is_empty() {
                        self.current.push(character);
                    }
                }
                character => self.push(character),
            }
        }
        if quoted {
            return Err(Fault::new(self.line, "a quotation mark has no end on its line", SYNTAX));
        }
        self.finish_line(false)
    }

    fn finish_line(&self, continues: bool) -> Result<bool, Fault> {
        if self.current.chars().count() > FIELD_CHARS_MAX {
            let what = format!("a value has more than {FIELD_CHARS_MAX} characters");
            return Err(Fault::new(self.line, what, SYNTAX));
        }
        Ok(continues)
    }

    fn push(&mut self, character: char) {
        self.current.push(character);
        self.significant = self.current.len();
        self.any = true;
    }

    fn next_field(&mut self, end: (usize, usize)) {
        self.places.push(self.begin.take().unwrap_or(end));
        let field = std::mem::take(&mut self.current);
        self.fields.push(field[..self.significant].to_owned());
        self.significant = 0;
        self.any = true;
    }

    /// Returns the entry; `None` for an empty line.
    fn entry(mut self) -> Result<Option<Entry>, Fault> {
        if !self.any {
            return Ok(None);
        }
        self.next_field((self.line, self.column.max(1)));
        if self.fields.iter().any(|field| field.chars().count() > FIELD_CHARS_MAX) {
            let what = format!("a value has more than {FIELD_CHARS_MAX} characters");
            return Err(Fault::new(self.line, what, SYNTAX));
        }
        Ok(Some(Entry {
            line: self.line,
            key: self.key,
            fields: self.fields,
            column: self.column.max(1),
            places: self.places,
        }))
    }
}

/// Tells whether nothing but white space or a comment follows on a line.
fn is_end(mut rest: std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    rest.find(|character| !character.is_whitespace()).is_none_or(|character| character == ';')
}
