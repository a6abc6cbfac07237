//! QEMU's monitor, as far as we need it: greetings, and a look at a guest that hangs.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

/// Longest time for an answer. QEMU answers within milliseconds unless its main loop is stuck, which is worth knowing; its
/// first start on a busy machine with a slow disk takes seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A connection to the monitor.
#[derive(Debug)]
pub(super) struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    /// QEMU's version with its package, from the greeting.
    pub(super) version: String,
}

impl Qmp {
    /// Waits for the greeting and leaves negotiation mode.
    pub(super) fn connect(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let mut qmp = Self { reader: BufReader::new(stream.try_clone()?), writer: stream, version: String::new() };
        let greeting = qmp.read()?;
        let version = &greeting["QMP"]["version"];
        let number = |part: &str| version["qemu"][part].as_u64().unwrap_or_default();
        qmp.version = format!("{}.{}.{}", number("major"), number("minor"), number("micro"));
        if let Some(package) = version["package"].as_str().filter(|package| !package.is_empty()) {
            qmp.version += &format!(" ({package})");
        }
        qmp.execute(&json!({ "execute": "qmp_capabilities" }))?;
        Ok(qmp)
    }

    /// What a person at the monitor would see. Never ask it for the status of virtio devices: that crashes QEMU 11.1
    /// on the card's device.
    pub(super) fn human(&mut self, line: &str) -> io::Result<String> {
        let command = json!({ "execute": "human-monitor-command", "arguments": { "command-line": line } });
        let answer = self.execute(&command)?;
        Ok(answer.as_str().unwrap_or_default().replace('\r', ""))
    }

    /// Interrupts the guest in a way that it cannot mask.
    pub(super) fn inject_nmi(&mut self) -> io::Result<()> {
        self.execute(&json!({ "execute": "inject-nmi" })).map(drop)
    }

    fn execute(&mut self, command: &Value) -> io::Result<Value> {
        self.writer.write_all(format!("{command}\n").as_bytes())?;
        loop {
            let mut answer = self.read()?;
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(error.to_string()));
            }
            // Events come in between.
            if answer.get("return").is_some() {
                return Ok(answer["return"].take());
            }
        }
    }

    fn read(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}
