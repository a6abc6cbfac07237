//! The client of QEMU's monitor (QMP): whether QEMU answers, why it ends, and where a guest hangs.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::host::interrupt;

/// Longest time for an answer. QEMU answers within milliseconds unless its main loop is stuck; its first start on a
/// busy machine with a slow disk takes seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// The time that a read waits before the caller decides whether to go on waiting.
const SLICE: Duration = Duration::from_millis(10);

/// Most events that are kept for a caller that asks for them: those of a machine that starts again and again are taken each second.
const EVENTS_MAX: usize = 256;

/// The reason of a shutdown by a signal, as QEMU's event gives it.
const BY_SIGNAL: &str = "host-signal";

/// A connection to the monitor.
#[derive(Debug)]
pub(super) struct Qmp {
    stream: UnixStream,
    received: Vec<u8>,
    commands: u64,
    /// QEMU's version with its package, from the greeting.
    pub(super) version: String,
    /// The reason of the shutdown, as QEMU's event gives it.
    shutdown: Option<String>,
    /// Events that have come in and were not taken, the newest of them.
    events: VecDeque<Value>,
}

/// Whether QEMU answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// Its main loop runs.
    Yes,
    /// It has closed the connection.
    Closed,
    /// Neither, within the limit.
    Silent,
}

impl Qmp {
    /// Wraps a connection to a monitor that has not greeted yet.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(SLICE))?;
        Ok(Self {
            stream,
            received: Vec::new(),
            commands: 0,
            version: String::new(),
            shutdown: None,
            events: VecDeque::new(),
        })
    }

    /// Waits for the greeting and leaves negotiation mode, as long as `worth_it` returns true.
    pub(super) fn connect(&mut self, worth_it: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        let greeting = self.read(deadline, worth_it)?;
        let version = &greeting["QMP"]["version"];
        let number = |part: &str| version["qemu"][part].as_u64().unwrap_or_default();
        self.version = format!("{}.{}.{}", number("major"), number("minor"), number("micro"));
        if let Some(package) = version["package"].as_str().filter(|package| !package.is_empty()) {
            self.version += &format!(" ({package})");
        }
        self.execute(&json!({ "execute": "qmp_capabilities" }), deadline, worth_it).map(drop)
    }

    /// Executes a command of the human monitor. The status of virtio devices must not be queried: that crashes QEMU
    /// 11.1 on the card's device.
    pub(super) fn human(&mut self, line: &str) -> io::Result<String> {
        let command = json!({ "execute": "human-monitor-command", "arguments": { "command-line": line } });
        let answer = self.ask(&command)?;
        Ok(answer.as_str().unwrap_or_default().replace('\r', ""))
    }

    /// Executes a command with its arguments, if it has some.
    pub(super) fn command(&mut self, name: &str, arguments: Option<&Value>) -> io::Result<Value> {
        let mut command = json!({ "execute": name });
        if let Some(arguments) = arguments {
            command["arguments"] = arguments.clone();
        }
        self.ask(&command)
    }

    /// Takes the events that have come in since the last time.
    ///
    /// # Errors
    /// The error of the connection, as when QEMU has closed it.
    pub(super) fn take_events(&mut self) -> io::Result<Vec<Value>> {
        match self.read(Instant::now(), &mut || true) {
            Ok(_) => while self.received.contains(&b'\n') && self.read(Instant::now(), &mut || true).is_ok() {},
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            // What came before the end is returned first.
            Err(_) if !self.events.is_empty() => {}
            Err(error) => return Err(error),
        }
        Ok(self.events.drain(..).collect())
    }

    /// Interrupts the guest in a way that it cannot mask.
    pub(super) fn inject_nmi(&mut self) -> io::Result<()> {
        self.ask(&json!({ "execute": "inject-nmi" })).map(drop)
    }

    /// Asks for the status, within a limit: a QEMU that is about to end does not answer.
    pub(super) fn answers(&mut self, limit: Duration) -> Answers {
        match self.execute(&json!({ "execute": "query-status" }), Instant::now() + limit, &mut || true) {
            Ok(_) => Answers::Yes,
            Err(error) if error.kind() == ErrorKind::TimedOut => Answers::Silent,
            Err(_) => Answers::Closed,
        }
    }

    /// Tells whether a signal made a QEMU shut down that has ended. Reads the events that are left.
    pub(super) fn ended_by_signal(&mut self) -> bool {
        // The other end is closed: this ends at the end of the stream.
        self.shutdown_reason().as_deref() == Some(BY_SIGNAL)
    }

    /// Returns the reason of a shutdown of a QEMU that has ended. Reads the events that are left.
    pub(super) fn shutdown_reason(&mut self) -> Option<String> {
        while self.read(Instant::now() + SLICE, &mut || true).is_ok() {}
        self.shutdown.clone()
    }

    fn ask(&mut self, command: &Value) -> io::Result<Value> {
        self.execute(command, Instant::now() + ANSWER_LIMIT, &mut || !interrupt::requested())
    }

    fn execute(&mut self, command: &Value, deadline: Instant, worth_it: &mut dyn FnMut() -> bool) -> io::Result<Value> {
        self.commands += 1;
        let id = self.commands;
        let mut command = command.clone();
        command["id"] = id.into();
        self.stream.write_all(format!("{command}\n").as_bytes())?;
        loop {
            let mut answer = self.read(deadline, worth_it)?;
            // Events come in between, and answers that were too late for an earlier command.
            if answer["id"] != id {
                continue;
            }
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(error.to_string()));
            }
            return Ok(answer["return"].take());
        }
    }

    fn read(&mut self, deadline: Instant, worth_it: &mut dyn FnMut() -> bool) -> io::Result<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let value: Value = serde_json::from_slice(&line).map_err(io::Error::other)?;
                if value["event"] == "SHUTDOWN" {
                    self.shutdown = value["data"]["reason"].as_str().map(str::to_owned);
                }
                if value.get("event").is_some() {
                    if self.events.len() == EVENTS_MAX {
                        self.events.pop_front();
                    }
                    self.events.push_back(value.clone());
                }
                return Ok(value);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= deadline {
                        return Err(ErrorKind::TimedOut.into());
                    }
                    if !worth_it() {
                        return Err(ErrorKind::ConnectionAborted.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    /// A monitor that greets and answers each command with the lines that `answers` returns.
    fn monitor(mut answers: impl FnMut(&Value) -> Vec<Value> + Send + 'static) -> Qmp {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let greeting = json!({ "QMP": { "version": { "qemu": { "major": 11, "minor": 1, "micro": 3 } } } });
            let _ = writeln!(theirs, "{greeting}");
            let lines = BufReader::new(theirs.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let command: Value = serde_json::from_str(&line).unwrap();
                for mut answer in answers(&command) {
                    if answer["id"] == "same" {
                        answer["id"] = command["id"].clone();
                    }
                    if writeln!(theirs, "{answer}").is_err() {
                        return;
                    }
                }
            }
        });
        let mut qmp = Qmp::new(ours).unwrap();
        qmp.connect(&mut || true).unwrap();
        qmp
    }

    #[test]
    fn tells_an_answer_from_events_and_late_answers() {
        let mut qmp = monitor(|_| {
            vec![
                json!({ "event": "RESUME" }),
                json!({ "return": "late", "id": 0 }),
                json!({ "return": "x", "id": "same" }),
            ]
        });
        assert_eq!(qmp.version, "11.1.3");
        assert_eq!(qmp.human("info status").unwrap(), "x");
        assert_eq!(qmp.answers(Duration::from_secs(10)), Answers::Yes);
    }

    #[test]
    fn hands_over_each_event_once_and_keeps_the_newest() {
        let mut qmp = monitor(|_| {
            let events = (0..=EVENTS_MAX).map(|number| json!({ "event": "RTC_CHANGE", "number": number }));
            events.chain([json!({ "return": {}, "id": "same" })]).collect()
        });
        qmp.human("x").unwrap();
        let events = qmp.take_events().unwrap();
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(events[0]["number"], 1);
        assert_eq!(qmp.take_events().unwrap().len(), 0);
    }

    #[test]
    fn tells_a_silent_monitor_from_a_closed_one() {
        let mut first = true;
        let mut qmp =
            monitor(
                move |_| {
                    if std::mem::take(&mut first) { vec![json!({ "return": {}, "id": "same" })] } else { Vec::new() }
                },
            );
        assert_eq!(qmp.answers(Duration::from_millis(50)), Answers::Silent);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut qmp = Qmp::new(ours).unwrap();
        drop(theirs);
        assert_eq!(qmp.answers(Duration::from_secs(10)), Answers::Closed);
    }

    #[test]
    fn does_not_wait_for_a_greeting_that_cannot_come() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let error = Qmp::new(ours).unwrap().connect(&mut || false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    }

    #[test]
    fn reads_the_reason_of_the_shutdown_after_its_end() {
        for (reason, by_signal) in [("host-signal", true), ("guest-reset", false)] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let event = json!({ "event": "SHUTDOWN", "data": { "guest": !by_signal, "reason": reason } });
            writeln!(theirs, "{event}").unwrap();
            drop(theirs);
            assert_eq!(Qmp::new(ours).unwrap().ended_by_signal(), by_signal, "{reason}");
        }
    }
}
