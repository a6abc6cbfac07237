//! The client of a device's control socket: the contract by which any device process tells a test what it received and
//! found wrong, and takes a stimulus.
//!
//! A request is a line of JSON, and so is its answer; `device/pci/CONTROL.md` is the contract. What a device does not
//! offer is not an error of the device: [`DeviceControlError::NotOffered`] makes a test "not exercised".

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::host::failure::{Class, Diagnosed};
use crate::host::interrupt;

/// The version of the contract.
pub const DEVICE_PROTOCOL: u32 = 1;

/// The longest time for an answer: a device answers between two accesses of the guest, on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The interval at which a wait for an answer checks whether the user has interrupted the run.
const SLICE: Duration = Duration::from_millis(50);

/// The longest answer, in bytes: all that a guest can send to a MIDI port in minutes, in hexadecimal.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Bytes of an answer that an error shows.
const SHOWN_BYTES: usize = 160;

/// A part of the contract that a device may offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offer {
    /// Interrupts, errors of the driver, counters.
    Status,
    /// The first error of the driver, with the access that led to it.
    Diagnosis,
    /// The device's registers, as they are.
    Registers,
    /// The MIDI bytes that the driver has sent.
    Bytes,
    /// Bytes that arrive at the device's MIDI input.
    MidiIn,
    /// Faults that the device commits on purpose.
    InjectFault,
    /// The device's own log.
    Log,
    /// The device's end.
    Shutdown,
}

impl Offer {
    /// Returns the name of the command.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Diagnosis => "diagnosis",
            Self::Registers => "registers",
            Self::Bytes => "bytes",
            Self::MidiIn => "midi-in",
            Self::InjectFault => "inject-fault",
            Self::Log => "log",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Why a command to a device has no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeviceControlError {
    /// The device does not offer the command: what it would have shown is not exercised.
    #[error("the device {device} does not offer `{command}`")]
    NotOffered {
        /// The name of the device.
        device: String,
        /// The command.
        command: &'static str,
    },
    /// The device refused the command.
    #[error("the device {device} refused `{command}` ({code}): {error}")]
    Refused {
        /// The name of the device.
        device: String,
        /// The command.
        command: &'static str,
        /// The device's code: `unsupported`, `malformed` or `failed`.
        code: String,
        /// The device's sentence.
        error: String,
    },
    /// The device answered otherwise than the contract says.
    #[error("the device {device} violates the control contract at `{command}`: {what}")]
    Violation {
        /// The name of the device.
        device: String,
        /// The command.
        command: &'static str,
        /// The expected answer, and the one that came.
        what: String,
    },
    /// The device did not answer in time.
    #[error("the device {device} did not answer `{command}` on its control socket within {seconds} s")]
    Silent {
        /// The name of the device.
        device: String,
        /// The command.
        command: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The connection failed.
    #[error("the control socket of the device {device}: {source} at `{command}`")]
    Socket {
        /// The name of the device.
        device: String,
        /// The command.
        command: &'static str,
        /// The error of the host.
        source: io::Error,
    },
}

impl DeviceControlError {
    /// Tells whether the device does not offer what was requested.
    #[must_use]
    pub const fn is_not_offered(&self) -> bool {
        matches!(self, Self::NotOffered { .. })
    }
}

impl Diagnosed for DeviceControlError {
    fn class(&self) -> Class {
        match self {
            Self::NotOffered { .. } | Self::Refused { .. } | Self::Violation { .. } => Class::TestFailed,
            Self::Silent { .. } | Self::Socket { .. } => Class::CardDied,
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotOffered { command, .. } => {
                format!("offer `{command}` in the answer to `hello`, or expect nothing of it")
            }
            Self::Refused { .. } => "the sentence is the device's own; its log says more".into(),
            Self::Violation { .. } => {
                "device/pci/CONTROL.md has each request with its answer: correct the device".into()
            }
            Self::Silent { .. } => {
                "serve the control socket on a thread of its own, also while no machine is connected".into()
            }
            Self::Socket { .. } => "see whether the device still runs; its log is in the run folder".into(),
        })
    }
}

/// The state that a device reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Interrupts that it has raised.
    pub interrupts: u64,
    /// The errors of the driver that it has found.
    #[serde(default)]
    pub driver_errors: Vec<DeviceFinding>,
    /// Counters of its own.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

/// An error of the driver that a device has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFinding {
    /// A word for the kind of error.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// What a device has found wrong with its driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDiagnosis {
    /// How many errors.
    pub count: u64,
    /// The first of them.
    pub first: Option<DeviceError>,
    /// How many of each code.
    #[serde(default)]
    pub codes: BTreeMap<String, u64>,
}

/// An error of the driver, with its circumstances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceError {
    /// A word for the kind of error.
    pub code: String,
    /// A sentence.
    pub detail: String,
    /// The access of the driver in which it was found, in words.
    #[serde(default)]
    pub during: Option<String>,
    /// Resets of the device before.
    #[serde(default)]
    pub resets: u64,
}

/// A register of a device, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRegister {
    /// The base address register, 0 to 5.
    pub bar: u8,
    /// Its first byte, from the start of the BAR.
    pub offset: u64,
    /// Bytes.
    pub bytes: u8,
    /// Its value.
    pub value: u64,
    /// Name, value and fields in words.
    pub decoded: String,
}

impl DeviceError {
    /// Returns what was found, and in which access.
    #[must_use]
    pub fn sentence(&self) -> String {
        let during = self.during.as_ref().map_or_else(String::new, |access| format!(", in the driver's {access}"));
        format!("{}{during}", self.detail)
    }

    /// Returns its code and its sentence.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}: {}", self.code, self.sentence())
    }
}

/// MIDI bytes that a device received from the driver in one access or burst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedBytes {
    /// The device's time, in nanoseconds from an origin of its own.
    pub time_ns: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// What a device has received since the last request for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The bytes in their order.
    pub bytes: Vec<ReceivedBytes>,
    /// Bytes that the device received and no longer has.
    pub lost: u64,
}

impl Received {
    /// Adds what was received later.
    pub fn extend(&mut self, later: Self) {
        self.bytes.extend(later.bytes);
        self.lost = self.lost.saturating_add(later.lost);
    }

    /// Returns all bytes in their order.
    #[must_use]
    pub fn joined(&self) -> Vec<u8> {
        self.bytes.iter().flat_map(|part| part.data.iter().copied()).collect()
    }
}

/// The lines of a device's log since the last request for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DeviceLog {
    /// The lines.
    pub lines: Vec<String>,
    /// Lines that the device no longer has.
    #[serde(default)]
    pub lost: u64,
}

/// A client of a device's control socket, on one connection.
#[derive(Debug)]
pub struct DeviceControl {
    reader: BufReader<UnixStream>,
    name: String,
    offers: Vec<String>,
    faults: Vec<String>,
    /// An answer was cut short or did not come: later lines would answer earlier requests.
    broken: bool,
}

impl DeviceControl {
    /// Connects to a control socket and asks the device for its name and offers.
    ///
    /// # Errors
    /// [`DeviceControlError`] for a socket on which nothing listens, a device that does not answer, and one that speaks
    /// another version of the contract.
    pub fn connect(socket: &Path) -> Result<Self, DeviceControlError> {
        const HELLO: &str = "hello";
        #[derive(Deserialize)]
        struct Hello {
            protocol: u32,
            name: String,
            offers: Vec<String>,
            #[serde(default)]
            faults: Vec<String>,
        }
        let place = socket.display().to_string();
        let failed = |source| DeviceControlError::Socket { device: format!("at {place}"), command: HELLO, source };
        let stream = UnixStream::connect(socket).map_err(failed)?;
        stream.set_read_timeout(Some(SLICE)).map_err(failed)?;
        stream.set_write_timeout(Some(ANSWER_LIMIT)).map_err(failed)?;
        let mut control = Self {
            reader: BufReader::new(stream),
            name: format!("at {place}"),
            offers: Vec::new(),
            faults: Vec::new(),
            broken: false,
        };
        let hello: Hello = control.execute(HELLO, &json!({ "cmd": HELLO }))?;
        if hello.protocol != DEVICE_PROTOCOL {
            let what = format!("it speaks version {}, the harness version {DEVICE_PROTOCOL}", hello.protocol);
            return Err(control.violation(HELLO, what));
        }
        control.name = format!("`{}`", hello.name);
        control.offers = hello.offers;
        control.faults = hello.faults;
        Ok(control)
    }

    /// Returns the name that the device gave itself, quoted.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether the device offers a part of the contract.
    #[must_use]
    pub fn offers(&self, offer: Offer) -> bool {
        self.offers.iter().any(|offered| offered == offer.name())
    }

    /// Returns the kinds of faults that the device can commit.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Reads the device's status.
    ///
    /// # Errors
    /// [`DeviceControlError`], with [`DeviceControlError::NotOffered`] for a device without it.
    pub fn status(&mut self) -> Result<DeviceStatus, DeviceControlError> {
        self.offered(Offer::Status, json!({}))
    }

    /// Reads what the device has found wrong with the driver; from the status of a device that offers no diagnosis.
    ///
    /// # Errors
    /// [`DeviceControlError`], with [`DeviceControlError::NotOffered`] for a device without either.
    pub fn diagnosis(&mut self) -> Result<DeviceDiagnosis, DeviceControlError> {
        if self.offers(Offer::Diagnosis) {
            return self.offered(Offer::Diagnosis, json!({}));
        }
        let found = self.status()?.driver_errors;
        let mut diagnosis = DeviceDiagnosis { count: found.len() as u64, ..DeviceDiagnosis::default() };
        for DeviceFinding { code, detail } in found {
            *diagnosis.codes.entry(code.clone()).or_default() += 1;
            diagnosis.first.get_or_insert(DeviceError { code, detail, during: None, resets: 0 });
        }
        Ok(diagnosis)
    }

    /// Reads the registers that the device has a table of, without what a read by the driver would do.
    ///
    /// # Errors
    /// [`DeviceControlError`], with [`DeviceControlError::NotOffered`] for a device without one.
    pub fn registers(&mut self) -> Result<Vec<DeviceRegister>, DeviceControlError> {
        #[derive(Deserialize)]
        struct Answer {
            registers: Vec<DeviceRegister>,
        }
        let Answer { registers } = self.offered(Offer::Registers, json!({}))?;
        Ok(registers)
    }

    /// Takes the MIDI bytes that the device has received from the driver since the last call.
    ///
    /// # Errors
    /// [`DeviceControlError`], with [`DeviceControlError::NotOffered`] for a device without it.
    pub fn bytes(&mut self) -> Result<Received, DeviceControlError> {
        #[derive(Deserialize)]
        struct Part {
            time_ns: u64,
            data: String,
        }
        #[derive(Deserialize)]
        struct Answer {
            bytes: Vec<Part>,
            lost: u64,
        }
        let Answer { bytes, lost } = self.offered(Offer::Bytes, json!({}))?;
        let mut received = Received { bytes: Vec::with_capacity(bytes.len()), lost };
        for Part { time_ns, data } in bytes {
            match hex::decode(&data) {
                Ok(data) => received.bytes.push(ReceivedBytes { time_ns, data }),
                Err(error) => {
                    let what = format!("the bytes \"{}\" are no hexadecimal digits: {error}", shown(&data));
                    return Err(self.violation(Offer::Bytes.name(), what));
                }
            }
        }
        Ok(received)
    }

    /// Has bytes arrive at the device's MIDI input: the stimulus for capture.
    ///
    /// # Errors
    /// [`DeviceControlError`], with [`DeviceControlError::NotOffered`] for a device without it.
    pub fn midi_in(&mut self, data: &[u8]) -> Result<(), DeviceControlError> {
        self.offered::<Done>(Offer::MidiIn, json!({ "data": hex::encode(data) })).map(|Done {}| ())
    }

    /// Has the device commit a fault: an object with a `kind`, which is one of [`DeviceControl::faults`], and the
    /// kind's own fields.
    ///
    /// # Errors
    /// [`DeviceControlError`], with [`DeviceControlError::NotOffered`] for a device without it or without the kind.
    pub fn inject_fault(&mut self, fault: &Value) -> Result<(), DeviceControlError> {
        let kind = fault.get("kind").and_then(Value::as_str).unwrap_or_default();
        if !self.faults.iter().any(|known| known == kind) {
            return Err(self.not_offered(Offer::InjectFault));
        }
        self.offered::<Done>(Offer::InjectFault, json!({ "fault": fault })).map(|Done {}| ())
    }

    /// Takes the lines of the device's log since the last call.
    ///
    /// # Errors
    /// [`DeviceControlError`], with [`DeviceControlError::NotOffered`] for a device without it.
    pub fn log(&mut self) -> Result<DeviceLog, DeviceControlError> {
        self.offered(Offer::Log, json!({}))
    }

    /// Has the device end.
    ///
    /// # Errors
    /// [`DeviceControlError`], with [`DeviceControlError::NotOffered`] for a device without it.
    pub fn shutdown(&mut self) -> Result<(), DeviceControlError> {
        self.offered::<Done>(Offer::Shutdown, json!({})).map(|Done {}| ())
    }

    fn offered<T: DeserializeOwned>(&mut self, offer: Offer, mut request: Value) -> Result<T, DeviceControlError> {
        if !self.offers(offer) {
            return Err(self.not_offered(offer));
        }
        request["cmd"] = offer.name().into();
        self.execute(offer.name(), &request)
    }

    fn execute<T: DeserializeOwned>(
        &mut self,
        command: &'static str,
        request: &Value,
    ) -> Result<T, DeviceControlError> {
        if self.broken {
            return Err(self.socket(command, io::ErrorKind::NotConnected.into()));
        }
        // Until the answer has come whole.
        self.broken = true;
        let line = format!("{request}\n");
        self.reader.get_mut().write_all(line.as_bytes()).map_err(|error| self.socket(command, error))?;
        let line = self.read_line(command)?;
        self.broken = false;
        let text = String::from_utf8_lossy(&line);
        let object = match serde_json::from_str::<Value>(&text) {
            Ok(value @ Value::Object(_)) => value,
            Ok(_) => return Err(self.violation(command, format!("the answer is no object: {}", shown(&text)))),
            Err(error) => {
                return Err(self.violation(command, format!("the answer is no JSON ({error}): {}", shown(&text))));
            }
        };
        match object.get("ok") {
            Some(Value::Bool(true)) => serde_json::from_value(object).map_err(|error| {
                self.violation(command, format!("the answer has another shape ({error}): {}", shown(&text)))
            }),
            Some(Value::Bool(false)) => {
                let text_of = |key: &str| object.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
                match (text_of("code"), text_of("error")) {
                    (Some(code), Some(error)) => {
                        Err(DeviceControlError::Refused { device: self.name.clone(), command, code, error })
                    }
                    _ => Err(self.violation(command, format!("a refusal has `code` and `error`: {}", shown(&text)))),
                }
            }
            _ => Err(self.violation(command, format!("`ok` is true or false in each answer: {}", shown(&text)))),
        }
    }

    /// Reads a line within [`ANSWER_LIMIT`], unless the user interrupts the run before.
    fn read_line(&mut self, command: &'static str) -> Result<Vec<u8>, DeviceControlError> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        let mut line = Vec::new();
        loop {
            let room = ANSWER_BYTES_MAX - line.len() as u64;
            match (&mut self.reader).take(room).read_until(b'\n', &mut line) {
                Ok(_) if line.last() == Some(&b'\n') => return Ok(line),
                Ok(_) if line.len() as u64 == ANSWER_BYTES_MAX => {
                    return Err(self.violation(command, format!("an answer is longer than {ANSWER_BYTES_MAX} bytes")));
                }
                Ok(_) => return Err(self.socket(command, io::ErrorKind::UnexpectedEof.into())),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if interrupt::requested() || Instant::now() > deadline {
                        let (device, seconds) = (self.name.clone(), ANSWER_LIMIT.as_secs());
                        return Err(DeviceControlError::Silent { device, command, seconds });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.socket(command, error)),
            }
        }
    }

    fn not_offered(&self, offer: Offer) -> DeviceControlError {
        DeviceControlError::NotOffered { device: self.name.clone(), command: offer.name() }
    }

    fn violation(&self, command: &'static str, what: String) -> DeviceControlError {
        DeviceControlError::Violation { device: self.name.clone(), command, what }
    }

    fn socket(&self, command: &'static str, source: io::Error) -> DeviceControlError {
        DeviceControlError::Socket { device: self.name.clone(), command, source }
    }
}

/// The answer to a command that returns nothing.
#[derive(Deserialize)]
struct Done {}

/// Returns the beginning of an answer, for a message.
fn shown(text: &str) -> String {
    let text = text.trim_end();
    let end = (0..=SHOWN_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{}", &text[..end], if end < text.len() { "..." } else { "" })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::host::leftovers::Scratch;

    const HELLO: &str = r#"{"ok":true,"protocol":1,"name":"mpu401","offers":["status","bytes","midi-in","inject-fault","log"],"faults":["overrun"]}"#;

    /// Answers each request with the next of these lines, then closes. Returns the requests when joined.
    fn device(answers: &[&str]) -> (Scratch, std::path::PathBuf, std::thread::JoinHandle<Vec<String>>) {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        let answers: Vec<String> = answers.iter().map(|answer| format!("{answer}\n")).collect();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut requests = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut seen = Vec::new();
            for answer in answers {
                let Some(Ok(request)) = requests.next() else { break };
                seen.push(request);
                stream.write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        (folder, path, thread)
    }

    #[test]
    fn takes_bytes_and_gives_the_stimulus() {
        let (_folder, path, thread) = device(&[
            HELLO,
            r#"{"ok":true,"bytes":[{"time_ns":7,"data":"903c64"},{"time_ns":9,"data":"80"}],"lost":2}"#,
            r#"{"ok":true}"#,
            r#"{"ok":true,"interrupts":3,"driver_errors":[{"code":"order","detail":"d"}],"counters":{"fifo":4}}"#,
            r#"{"ok":true}"#,
        ]);
        let mut control = DeviceControl::connect(&path).unwrap();
        assert_eq!(control.name(), "`mpu401`");
        let received = control.bytes().unwrap();
        assert_eq!((received.joined(), received.lost), (vec![0x90, 0x3c, 0x64, 0x80], 2));
        control.midi_in(&[0x90, 1, 2]).unwrap();
        let status = control.status().unwrap();
        assert_eq!((status.interrupts, status.counters["fifo"]), (3, 4));
        assert_eq!(status.driver_errors[0].code, "order");
        control.inject_fault(&json!({ "kind": "overrun", "count": 2 })).unwrap();
        let requests = thread.join().unwrap();
        assert_eq!(requests[2], r#"{"cmd":"midi-in","data":"900102"}"#);
        assert_eq!(requests[4], r#"{"cmd":"inject-fault","fault":{"count":2,"kind":"overrun"}}"#);
    }

    #[test]
    fn calls_what_is_not_offered_not_offered_without_a_request() {
        let (_folder, path, thread) = device(&[HELLO]);
        let mut control = DeviceControl::connect(&path).unwrap();
        assert!(control.shutdown().unwrap_err().is_not_offered());
        assert!(control.inject_fault(&json!({ "kind": "other" })).unwrap_err().is_not_offered());
        drop(control);
        assert_eq!(thread.join().unwrap().len(), 1);
    }

    #[test]
    fn names_a_device_that_violates_the_contract_or_refuses() {
        for (answer, expected) in [
            ("nonsense", "no JSON"),
            ("[]", "no object"),
            (r#"{"interrupts":1}"#, "`ok` is true or false"),
            (r#"{"ok":false,"error":"e"}"#, "a refusal has `code`"),
            (r#"{"ok":true}"#, "another shape"),
            (r#"{"ok":true,"interrupts":-1}"#, "another shape"),
            (
                r#"{"ok":false,"code":"failed","error":"the FIFO is gone"}"#,
                "refused `status` (failed): the FIFO is gone",
            ),
        ] {
            let (_folder, path, _thread) = device(&[HELLO, answer]);
            let error = DeviceControl::connect(&path).unwrap().status().unwrap_err();
            let text = error.to_string();
            assert!(text.contains("`mpu401`") && text.contains(expected), "{answer}: {text}");
            assert_eq!(error.class(), Class::TestFailed);
        }
        let odd = r#"{"ok":true,"bytes":[{"time_ns":0,"data":"9"}],"lost":0}"#;
        let (_folder, path, _thread) = device(&[HELLO, odd]);
        let error = DeviceControl::connect(&path).unwrap().bytes().unwrap_err().to_string();
        assert!(error.contains("no hexadecimal digits"), "{error}");
    }

    #[test]
    fn refuses_another_version_and_a_closed_connection() {
        let (_folder, path, _thread) = device(&[r#"{"ok":true,"protocol":2,"name":"x","offers":[]}"#]);
        let error = DeviceControl::connect(&path).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        let (_folder, path, _thread) = device(&[HELLO]);
        let mut control = DeviceControl::connect(&path).unwrap();
        for _ in 0..2 {
            let error = control.status().unwrap_err();
            assert_eq!(error.class(), Class::CardDied, "{error}");
        }
    }
}
