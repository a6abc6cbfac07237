//! A client of the control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::SOON;

pub(crate) struct Control {
    pub(crate) reader: BufReader<UnixStream>,
}

impl Control {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, text: &[u8]) {
        self.reader.get_ref().write_all(text).unwrap();
    }

    /// Reads an answer; `None` when the server has disconnected.
    pub(crate) fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        let bytes = self.reader.read_line(&mut line).unwrap_or(0);
        assert!(bytes <= 65536, "an answer of {bytes} bytes");
        (bytes > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    pub(crate) fn ask(&mut self, command: &Value) -> Value {
        self.send(format!("{command}\n").as_bytes());
        self.answer().expect("the server has disconnected")
    }

    pub(crate) fn status(&mut self) -> Value {
        self.ask(&json!({"cmd": "status"}))
    }

    /// Returns the codes of the driver's errors.
    pub(crate) fn driver_errors(&mut self) -> Vec<String> {
        let status = self.status();
        let errors = status["driver_errors"].as_array().unwrap();
        errors.iter().map(|error| error["code"].as_str().unwrap().to_owned()).collect()
    }
}
