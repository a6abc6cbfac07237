//! The words of a line: split as TOML has values, so that `at={ frame = 10 }` is one word; and turned into TOML.

use std::fmt::Write;

/// What is wrong with the words of a line, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct WordError(pub(super) String);

/// Members of steps whose value is a text, also where it looks like a number: `set_to=01000000`.
const TEXTS: [&str; 16] = [
    "as",
    "control",
    "data",
    "file",
    "instance",
    "instrument",
    "kind",
    "log",
    "no_log",
    "output",
    "qmp",
    "set_to",
    "shell",
    "since",
    "song",
    "stream",
];

/// Members that stand beside the verb of a step.
const MODIFIERS: [&str; 4] = ["card_ms", "fails", "host_s", "name"];

/// The words of a line behind its verb.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words(pub(super) Vec<String>);

impl Words {
    /// Splits a line at spaces that are in no text, list or table; `#` begins a comment.
    ///
    /// # Errors
    /// [`WordError`] for a text, a list or a table that does not end.
    pub(super) fn split(line: &str) -> Result<Self, WordError> {
        let (mut words, mut word, mut open, mut quote) = (Vec::new(), String::new(), Vec::new(), None);
        let mut escaped = false;
        for letter in line.chars() {
            match (quote, letter) {
                (Some('"'), '\\') if !escaped => {
                    escaped = true;
                    word.push(letter);
                    continue;
                }
                (Some(end), _) if letter == end && !escaped => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(letter),
                (None, '[') => open.push(']'),
                (None, '{') => open.push('}'),
                (None, ']' | '}') if open.last() == Some(&letter) => _ = open.pop(),
                (None, '#') if open.is_empty() && word.is_empty() => break,
                (None, _) if letter.is_whitespace() && open.is_empty() => {
                    if !word.is_empty() {
                        words.push(std::mem::take(&mut word));
                    }
                    continue;
                }
                (None, _) => {}
            }
            escaped = false;
            word.push(letter);
        }
        if let Some(end) = quote.or(open.pop()) {
            return Err(WordError(format!("a `{end}` is missing at the end of the line")));
        }
        if !word.is_empty() {
            words.push(word);
        }
        Ok(Self(words))
    }

    /// Returns the word at a place, without quotes.
    pub(super) fn get(&self, index: usize) -> Option<String> {
        self.0.get(index).map(|word| plain(word))
    }

    /// Returns the word at a place.
    ///
    /// # Errors
    /// [`WordError`] that names what is missing.
    pub(super) fn need(&self, index: usize, what: &str) -> Result<String, WordError> {
        self.get(index).ok_or_else(|| WordError(format!("{what} is missing")))
    }

    /// Refuses words beyond a number of them.
    ///
    /// # Errors
    /// [`WordError`] that names the first.
    pub(super) fn at_most(&self, count: usize) -> Result<(), WordError> {
        match self.0.get(count) {
            Some(word) => Err(WordError(format!("`{word}` is too much: see `help`"))),
            None => Ok(()),
        }
    }

    /// Takes the words that are `name=value` with a name out. Returns its value, without quotes.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|word| member(word).is_some_and(|(found, _)| found == name))?;
        let word = self.0.remove(index);
        member(&word).map(|(_, value)| plain(value))
    }

    /// Returns the step of a verb: the first words are the values of `positions`, in their order, unless they are `name=value`.
    ///
    /// # Errors
    /// [`WordError`] for more words than that.
    pub(super) fn step(&self, verb: &str, positions: &[&str]) -> Result<String, WordError> {
        let mut positions = positions.iter();
        let (mut members, mut beside) = (String::new(), String::new());
        for word in &self.0 {
            let (name, value) = match member(word) {
                Some(found) => found,
                None => match positions.next() {
                    Some(name) => (*name, word.as_str()),
                    None => return Err(WordError(format!("`{word}` is too much: expected name=value"))),
                },
            };
            let text = format!("{name} = {}", value_of(name, value));
            if MODIFIERS.contains(&name) {
                let _ = write!(beside, "\n{text}");
            } else {
                let _ = write!(members, "{}{text}", if members.is_empty() { " " } else { ", " });
            }
        }
        let end = if members.is_empty() { "" } else { " " };
        Ok(format!("{verb} = {{{members}{end}}}{beside}"))
    }
}

/// Splits `name=value`.
fn member(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    is_name.then_some((name, value))
}

/// Returns a word without the quotes around it.
fn plain(word: &str) -> String {
    let quoted = word.len() >= 2 && (word.starts_with('"') || word.starts_with('\''));
    let text = quoted.then(|| toml::de::DeValue::parse(word).ok()?.into_inner().as_str().map(str::to_owned));
    text.flatten().unwrap_or_else(|| word.to_owned())
}

/// Returns a word as a value of TOML: what is none is a text.
fn value_of(name: &str, word: &str) -> String {
    let is_value = toml::de::DeValue::parse(word).is_ok();
    let is_text = word.starts_with(['"', '\'', '[', '{']);
    if is_value && (is_text || !TEXTS.contains(&name)) { word.to_owned() } else { text(word) }
}

/// Returns a text as TOML writes it.
pub(super) fn text(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

/// Reads a number: decimal, or hexadecimal with `0x`.
///
/// # Errors
/// [`WordError`] for anything else.
pub(super) fn number(word: &str) -> Result<u64, WordError> {
    let digits = word.replace(['_', '`'], "");
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    number.map_err(|_| WordError(format!("`{word}` is no number: write 4096 or 0x1000")))
}

/// Reads a duration in milliseconds: `500ms`, `2s`, or a number of milliseconds.
///
/// # Errors
/// [`WordError`] for anything else.
pub(super) fn milliseconds(word: &str) -> Result<u64, WordError> {
    let (digits, factor) = match word.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => word.strip_suffix('s').map_or((word, 1), |digits| (digits, 1000)),
    };
    let number: Option<u64> = digits.parse().ok().and_then(|number: u64| number.checked_mul(factor));
    number.ok_or_else(|| WordError(format!("`{word}` is no time: write 500ms or 2s")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        Words::split(line).unwrap()
    }

    #[test]
    fn splits_at_spaces_outside_of_texts_lists_and_tables() {
        let line = r#"a "b c" d=["e f", { g = 1 }] at={ frame = 10 } # a comment"#;
        assert_eq!(words(line).0, ["a", "\"b c\"", "d=[\"e f\", { g = 1 }]", "at={ frame = 10 }"]);
        assert_eq!(words(r#""a \" b" c#4"#).0, [r#""a \" b""#, "c#4"]);
        assert!(words("  ").0.is_empty());
    }

    #[test]
    fn names_what_does_not_end() {
        assert_eq!(Words::split("a \"b").unwrap_err().to_string(), "a `\"` is missing at the end of the line");
        assert_eq!(Words::split("a={ b = [1").unwrap_err().to_string(), "a `]` is missing at the end of the line");
    }

    #[test]
    fn makes_a_step_of_words() {
        let step = |line: &str, verb: &str, positions: &[&str]| words(line).step(verb, positions).unwrap();
        assert_eq!(step("", "open", &["kind"]), "open = {}");
        assert_eq!(
            step("capture as=in sample_rate=44100", "open", &["kind"]),
            r#"open = { kind = "capture", as = "in", sample_rate = 44100 }"#
        );
        assert_eq!(
            step("lost-interrupt queue=3 at={frame=48} host_s=5", "fault", &["kind"]),
            "fault = { kind = \"lost-interrupt\", queue = 3, at = {frame=48} }\nhost_s = 5"
        );
        // Bytes are a text, also where they look like a number.
        assert_eq!(step("set_to=01000000", "property", &[]), r#"property = { set_to = "01000000" }"#);
        assert!(words("song tide").step("open", &["kind"]).is_err());
    }

    #[test]
    fn reads_numbers_and_times() {
        assert_eq!((number("0x10"), number("16")), (Ok(16), Ok(16)));
        assert!(number("x").is_err());
        assert_eq!((milliseconds("2s"), milliseconds("500ms"), milliseconds("7")), (Ok(2000), Ok(500), Ok(7)));
        assert!(milliseconds("1h").is_err());
    }
}
