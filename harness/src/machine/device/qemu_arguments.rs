//! QEMU's own devices, by the arguments of its option `-device`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The options of QEMU that may follow the device's own arguments: what a device needs beside it.
const BESIDE: [&str; 6] = ["-device", "-chardev", "-audiodev", "-object", "-global", "-netdev"];

/// Text that is no value of QEMU's option `-device`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QemuArgumentsError {
    /// There is no device.
    #[error("no device is named: write what QEMU's -device takes, such as ES1370 or edu,addr=05")]
    Empty,
    /// The option itself is in the text.
    #[error("`{0}` is an option: write what follows QEMU's -device, without -device itself")]
    Option(String),
    /// It asks QEMU for a list, after which QEMU ends.
    #[error("`help` has QEMU print a list and end: run `qemu-system-x86_64 -device help`")]
    Help,
    /// A part has no name.
    #[error("`{part}` is no property of a device: properties are name=value, with a comma before each")]
    Property {
        /// The part.
        part: String,
    },
    /// The name of the device has characters that no device of QEMU has.
    #[error("`{0}` is no name of a device of QEMU's: names have letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// The text begins as JSON and is none, or is no object with a driver.
    #[error("the device is no JSON object with a `driver`: {0}")]
    Json(String),
    /// A quotation mark has no end.
    #[error("a quotation mark has no end in `{0}`")]
    Quotes(String),
    /// Another option follows that is none of those that belong to a device, or has no value.
    #[error("`{0}` cannot follow a device: {options} with a value each can", options = BESIDE.join(", "))]
    Beside(String),
}

/// The arguments of QEMU's option `-device`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct QemuArguments {
    text: String,
    words: Vec<String>,
}

impl QemuArguments {
    /// Returns the arguments for QEMU's command line.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        std::iter::once("-device".to_owned()).chain(self.words.iter().cloned()).collect()
    }
}

impl FromStr for QemuArguments {
    type Err = QemuArgumentsError;

    fn from_str(text: &str) -> Result<Self, QemuArgumentsError> {
        let trimmed = text.trim();
        // JSON holds quotation marks that are its own.
        let words = if trimmed.starts_with('{') {
            vec![trimmed.to_owned()]
        } else {
            shlex::split(trimmed).ok_or_else(|| QemuArgumentsError::Quotes(trimmed.into()))?
        };
        let [device, beside @ ..] = &words[..] else { return Err(QemuArgumentsError::Empty) };
        check_device(device)?;
        for pair in beside.chunks(2) {
            match pair {
                [option, value] if option == "-device" => check_device(value)?,
                [option, value] if BESIDE.contains(&option.as_str()) && !value.starts_with('-') => {}
                _ => return Err(QemuArgumentsError::Beside(pair.join(" "))),
            }
        }
        Ok(Self { text: trimmed.into(), words })
    }
}

/// Checks the value of one `-device`.
fn check_device(text: &str) -> Result<(), QemuArgumentsError> {
    if text.starts_with('{') {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| QemuArgumentsError::Json(error.to_string()))?;
        let driver = value.get("driver").and_then(serde_json::Value::as_str);
        return driver.map(drop).ok_or_else(|| QemuArgumentsError::Json("it names no driver".into()));
    }
    if text.starts_with('-') {
        return Err(QemuArgumentsError::Option(text.into()));
    }
    // In QEMU's options a comma within a value is doubled.
    let joined = text.replace(",,", "\u{0}");
    let mut parts = joined.split(',').map(|part| part.replace('\u{0}', ",,"));
    let name = parts.next().unwrap_or_default();
    let name = name.strip_prefix("driver=").unwrap_or(&name);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    match name {
        "" => return Err(QemuArgumentsError::Empty),
        "help" | "?" => return Err(QemuArgumentsError::Help),
        name if !is_name(name) => return Err(QemuArgumentsError::Name(name.into())),
        _ => {}
    }
    for part in parts {
        match part.split_once('=') {
            Some((name, _)) if is_name(name) => {}
            None if part == "help" || part == "?" => return Err(QemuArgumentsError::Help),
            _ => return Err(QemuArgumentsError::Property { part }),
        }
    }
    Ok(())
}

impl fmt::Display for QemuArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<QemuArguments> for String {
    fn from(arguments: QemuArguments) -> Self {
        arguments.text
    }
}

impl TryFrom<String> for QemuArguments {
    type Error = QemuArgumentsError;

    fn try_from(text: String) -> Result<Self, QemuArgumentsError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_follows_device() {
        for (text, words) in [
            ("ES1370", vec!["-device", "ES1370"]),
            ("edu,addr=05,id=a,,b", vec!["-device", "edu,addr=05,id=a,,b"]),
            (
                "isa-serial,irq=3,chardev=c -chardev file,id=c,path='/tmp/a b'",
                vec!["-device", "isa-serial,irq=3,chardev=c", "-chardev", "file,id=c,path=/tmp/a b"],
            ),
            (r#"{"driver":"edu", "addr": "05"}"#, vec!["-device", r#"{"driver":"edu", "addr": "05"}"#]),
            ("edu -device edu", vec!["-device", "edu", "-device", "edu"]),
        ] {
            assert_eq!(text.parse::<QemuArguments>().unwrap().arguments(), words, "{text}");
        }
    }

    #[test]
    fn refuses_what_qemu_would_read_otherwise() {
        use QemuArgumentsError as Error;
        for (text, expected) in [
            ("", Error::Empty),
            (" , ", Error::Empty),
            ("-device edu", Error::Option("-device".into())),
            ("help", Error::Help),
            ("edu,help", Error::Help),
            ("edu,addr", Error::Property { part: "addr".into() }),
            ("edu,=5", Error::Property { part: "=5".into() }),
            ("edu,,x", Error::Name("edu,,x".into())),
            ("e$u", Error::Name("e$u".into())),
            ("edu 'x", Error::Quotes("edu 'x".into())),
            ("edu -drive file=/etc/passwd", Error::Beside("-drive file=/etc/passwd".into())),
            ("edu -chardev", Error::Beside("-chardev".into())),
            (r#"{"addr":"05"}"#, Error::Json("it names no driver".into())),
        ] {
            assert_eq!(text.parse::<QemuArguments>(), Err(expected), "{text}");
        }
        assert!(matches!(r#"{"driver":"#.parse::<QemuArguments>(), Err(Error::Json(_))));
    }
}
