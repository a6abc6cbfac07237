//! What a guest says on COM1 while it is set up: lines of `setup.cmd` among the text of firmware and loader.

/// The word before each message.
const MARK: &str = "dmus-setup: ";

/// Longest line that is kept: text without an end is cut, and what stood before in the line is no message.
const LINE_BYTES_MAX: usize = 4096;

/// A message of `setup.cmd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It has begun.
    Begin,
    /// A step begins.
    Step(String),
    /// A step failed.
    Failed {
        /// The step.
        step: String,
        /// The exit code of its command, or what it misses.
        code: String,
    },
    /// All steps are done.
    Done,
}

/// Finds messages in what comes in.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes bytes, and returns the messages that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Said> {
        let mut found = Vec::new();
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' | 0 => found.extend(said(&std::mem::take(&mut self.pending))),
                _ if self.pending.len() < LINE_BYTES_MAX => self.pending.push(byte),
                _ => self.pending.clear(),
            }
        }
        found
    }
}

/// Reads a line. Text of the firmware may stand before the mark.
fn said(line: &[u8]) -> Option<Said> {
    let text = String::from_utf8_lossy(line);
    let (_, words) = text.split_once(MARK)?;
    let mut words = words.split_whitespace();
    let found = match words.next()? {
        "begin" => Said::Begin,
        "done" => Said::Done,
        "step" => Said::Step(words.next()?.to_owned()),
        "failed" => Said::Failed { step: words.next()?.to_owned(), code: words.collect::<Vec<_>>().join(" ") },
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_messages_among_the_firmwares_text_at_any_division() {
        let line = b"BdsDxe: \x1b[2Jdmus-setup: begin\r\ndmus-setup: step driver\r\nnoise\0dmus-setup: failed driver -5 x\r\ndmus-setup: done\n";
        let failed = Said::Failed { step: "driver".into(), code: "-5 x".into() };
        for step in 1..line.len() {
            let mut lines = Lines::default();
            let found: Vec<Said> = line.chunks(step).flat_map(|chunk| lines.push(chunk)).collect();
            assert_eq!(found, [Said::Begin, Said::Step("driver".into()), failed.clone(), Said::Done]);
        }
    }

    #[test]
    fn keeps_no_line_without_an_end() {
        let mut lines = Lines::default();
        assert!(lines.push(&vec![b'x'; 100 * LINE_BYTES_MAX]).is_empty());
        assert!(lines.pending.len() <= LINE_BYTES_MAX);
        assert_eq!(lines.push(b"\ndmus-setup: done\ndmus-setup: odd\ndmus-setup: step\n"), [Said::Done]);
    }
}
