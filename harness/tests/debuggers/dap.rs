//! VS Code's side of a session: lldb-dap, driven by messages of the Debug Adapter Protocol and the configuration that a run writes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use dmus::provision::lldb_dap_of;
use serde_json::{Value, json};

use crate::guest::{Guest, LIMIT, Wanted, checkout, lldb};
use crate::sessions::line_of;

/// A debug adapter, and what it says.
struct Adapter {
    process: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    last: u64,
    seen: Vec<Value>,
}

impl Adapter {
    fn start(program: &Path) -> Self {
        let mut command = Command::new(program);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, out) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, from) = channel();
        // Ends with the adapter's output.
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            while let Some(message) = read(&mut out) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self { process, to, from, last: 0, seen: Vec::new() }
    }

    /// Sends a request. Returns its number.
    fn send(&mut self, command: &str, arguments: &Value) -> u64 {
        self.last += 1;
        let message = json!({ "seq": self.last, "type": "request", "command": command, "arguments": arguments });
        let text = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        self.to.flush().unwrap();
        self.last
    }

    /// Waits for a message that fits; those before it are kept.
    fn wait(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.seen.iter().position(&fits) {
            return self.seen.remove(at);
        }
        loop {
            let message = self.from.recv_timeout(LIMIT);
            let message = message.unwrap_or_else(|error| panic!("no {what}: {error}; said before: {:#?}", self.seen));
            if fits(&message) {
                return message;
            }
            self.seen.push(message);
        }
    }

    fn answer(&mut self, number: u64) -> Value {
        let answer = self.wait("answer", |message| message["type"] == "response" && message["request_seq"] == number);
        assert_eq!(answer["success"], true, "{answer}; said before: {:#?}", self.seen);
        answer["body"].clone()
    }

    fn request(&mut self, command: &str, arguments: &Value) -> Value {
        let number = self.send(command, arguments);
        self.answer(number)
    }

    fn event(&mut self, name: &str) -> Value {
        self.wait(name, |message| message["type"] == "event" && message["event"] == name)["body"].clone()
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads a message: headers, an empty line, JSON.
fn read(out: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if out.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim() {
            "" => break,
            header => length = header.strip_prefix("Content-Length: ").map_or(length, |text| text.parse().unwrap()),
        }
    }
    let mut body = vec![0; length];
    out.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

#[test]
fn an_editor_sets_a_breakpoint_in_the_driver_hits_it_and_shows_the_stack() {
    const FILE: &str = "guest-driver/sys/src/adapter.rs";
    let Some(lldb) = lldb() else { return };
    let Some(program) = lldb_dap_of(&lldb) else {
        println!("skipped: there is no lldb-dap beside {}", lldb.display());
        return;
    };
    let mut guest = Guest::boot(&Wanted::default());
    let Some(folder) = guest.waits() else { return };
    let launch = std::fs::read(folder.join(".vscode/launch.json")).unwrap();
    let launch: Value = serde_json::from_slice(&launch).unwrap();
    let configurations = launch["configurations"].as_array().unwrap();
    let configuration = configurations.iter().find(|one| one["type"] == "lldb-dap").unwrap();

    let mut adapter = Adapter::start(&program);
    adapter.request("initialize", &json!({ "adapterID": "lldb-dap", "pathFormat": "path", "linesStartAt1": true }));
    let attach = adapter.send("attach", configuration);
    adapter.event("initialized");
    let source = checkout().root.join(FILE);
    let line = line_of(FILE, "PcAddAdapterDevice(");
    let set =
        adapter.request("setBreakpoints", &json!({ "source": { "path": source }, "breakpoints": [{ "line": line }] }));
    assert_eq!(set["breakpoints"].as_array().unwrap().len(), 1, "{set}");
    adapter.request("configurationDone", &json!({}));
    adapter.answer(attach);
    // The first stop may be that of the attach, or in DriverEntry; the breakpoint's is the one at its line.
    let stack = loop {
        let stopped = adapter.event("stopped");
        let thread = stopped["threadId"].clone();
        let stack = adapter.request("stackTrace", &json!({ "threadId": thread, "levels": 40 }));
        if stack["stackFrames"][0]["line"] == line {
            break stack;
        }
        adapter.request("continue", &json!({ "threadId": thread }));
    };
    let frames = stack["stackFrames"].as_array().unwrap();
    let name = |frame: &Value| frame["name"].as_str().unwrap_or_default().to_owned();
    assert!(name(&frames[0]).contains("add_device"), "{stack:#}");
    assert_eq!(frames[0]["source"]["path"], json!(source), "{stack:#}");
    assert!(frames.iter().any(|frame| name(frame).contains("guest_main")), "the stack ends in the NT host: {stack:#}");
    adapter.request("disconnect", &json!({ "terminateDebuggee": false }));
    drop(adapter);
    guest.end().unwrap();
}
