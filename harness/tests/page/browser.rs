//! A browser without windows, driven over its pipe for debuggers (Chrome DevTools Protocol): messages of JSON, each ended by a
//! zero byte, on its file descriptors 3 and 4.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeWriter, Write, pipe};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use dmus::host::leftovers::Scratch;
use serde_json::{Value, json};

/// Longest wait for an answer: a page of some megabytes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The file descriptors on which the browser reads and writes messages.
const READS: i32 = 3;
const WRITES: i32 = 4;

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    to: PipeWriter,
    from: Receiver<Value>,
    /// Events that came while an answer was waited for.
    events: VecDeque<Value>,
    session: String,
    last: u64,
    _profile: Scratch,
}

impl Browser {
    /// Starts a browser with an empty page.
    pub(crate) fn start(program: &Path) -> Self {
        let profile = Scratch::new().unwrap();
        let (its_input, to) = pipe().unwrap();
        let (from, its_output) = pipe().unwrap();
        let mut command = Command::new(program);
        // No sandbox: root has none, and the page is ours.
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--mute-audio",
        ]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--disable-dev-shm-usage", "--remote-debugging-pipe", "--window-size=1200,900"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.env("HOME", profile.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
            .fd_mappings(vec![
                FdMapping { parent_fd: its_input.into(), child_fd: READS },
                FdMapping { parent_fd: its_output.into(), child_fd: WRITES },
            ])
            .unwrap();
        let process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        // The command holds the browser's ends of the pipes: without them a dead browser is an end of its messages.
        drop(command);
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { return };
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            process,
            to,
            from: receiver,
            events: VecDeque::new(),
            session: String::new(),
            last: 0,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().expect("a page has a session").into();
        for domain in ["Page", "Network", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Calls a method of the protocol and returns its result.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap_or_else(|error| panic!("{method}: {error}"));
        let end = Instant::now() + LIMIT;
        loop {
            let answer = self.next(end).unwrap_or_else(|| panic!("no answer to {method} within {LIMIT:?}"));
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push_back(answer);
        }
    }

    fn next(&self, end: Instant) -> Option<Value> {
        match self.from.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(value) => Some(value),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the browser has ended"),
        }
    }

    /// Opens a file and returns how long it took until all of it was loaded.
    pub(crate) fn open(&mut self, path: &Path) -> Duration {
        self.events.clear();
        let begun = Instant::now();
        let opened = self.call("Page.navigate", json!({ "url": format!("file://{}", path.display()) }));
        assert!(opened.get("errorText").is_none(), "{opened}");
        let end = begun + LIMIT;
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next(end).unwrap_or_else(|| panic!("{} is not loaded within {LIMIT:?}", path.display()));
            self.events.push_back(event);
        }
        begun.elapsed()
    }

    /// Evaluates an expression in the page, waits for a promise, and returns the value.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Presses and releases a key.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r".to_owned()),
            "Escape" => (27, String::new()),
            "Tab" => (9, String::new()),
            _ => (0, key.to_owned()),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let down = json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", down);
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }));
    }

    /// Types text into what has the focus.
    pub(crate) fn insert(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Shows the page as on a system with dark windows, or with light ones.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": feature }));
    }

    /// Writes what the page shows as a picture.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        use base64::Engine;
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Returns the addresses that the page has asked for since it was opened, without its own and those of its own data.
    pub(crate) fn requests(&mut self, page: &Path) -> Vec<String> {
        // What was asked for before an answer comes is among the events then.
        self.evaluate("0");
        let own = format!("file://{}", page.display());
        let asked = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let addresses = asked.filter_map(|event| Some(event["params"]["request"]["url"].as_str()?.to_owned()));
        addresses.filter(|address| *address != own && !address.starts_with("data:")).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
