//! Controls QEMU: `qtest` for memory and I/O, QMP for the machine.
//!
//! Source: QEMU, `docs/devel/testing/qtest.rst`, and the comment at the head of `system/qtest.c`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use card_control::Transport;
use card_control::qemu::{VFIO_USER_DEVICE, device_option};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::process::Process;
use crate::ram::{RAM, Ram};

/// How long QEMU may take to start, answer or end. It answers within microseconds; a machine with six busy processes
/// a processor makes it wait for seconds.
pub const QEMU_LIMIT: Duration = Duration::from_secs(20);

/// The device number on bus 0 that the card has.
pub(crate) const DEVICE: u32 = 4;

/// Lines that are sent before their answers are read: they and their answers fit the socket's buffers.
const LINES_AT_ONCE: usize = 256;

/// A running QEMU.
#[derive(Debug)]
pub struct Qemu {
    process: Process,
    qtest: BufReader<UnixStream>,
    qmp: BufReader<UnixStream>,
    /// How many `RESET` events the monitor has sent.
    resets: u64,
}

impl Qemu {
    /// Starts a machine with the card that listens on `card` in `folder`. Where guest memory is `shared`, it is `ram`;
    /// else it is QEMU's own.
    ///
    /// # Errors
    /// [`Failure::Host`] when the host gives no socket or process, [`Failure::Ended`] or [`Failure::Silent`] when QEMU does
    /// not start.
    pub fn start(
        program: &Path,
        transport: Transport,
        folder: &Path,
        ram: &Ram,
        shared: bool,
        card: &str,
    ) -> Result<Self> {
        // A folder's descriptor stands for its path, which may be longer than the address of a socket can be.
        let place = File::open(folder).map_err(Failure::host(format!("cannot open {}", folder.display())))?;
        let listen = |name: &str| -> Result<UnixListener> {
            let _ = std::fs::remove_file(folder.join(name));
            let listener = UnixListener::bind(format!("/proc/self/fd/{}/{name}", place.as_raw_fd()));
            let listener = listener.map_err(Failure::host(format!("cannot listen on {name}")))?;
            listener.set_nonblocking(true).map_err(Failure::host(format!("cannot listen on {name}")))?;
            Ok(listener)
        };
        let (qtest, qmp) = (listen("qtest")?, listen("qmp")?);
        let log = File::create(folder.join("qemu.log")).map_err(Failure::host("cannot create qemu.log"))?;
        let also = log.try_clone().map_err(Failure::host("cannot create qemu.log"))?;
        let megabytes = RAM >> 20;
        let mut command = Command::new(program);
        command.current_dir(folder).stdout(Stdio::from(log)).stderr(Stdio::from(also));
        command.args(["-accel", "qtest", "-display", "none", "-serial", "none", "-nodefaults", "-no-user-config"]);
        command.args(["-m", &format!("{megabytes}M")]);
        if shared {
            let memory = ram.path();
            command.args(["-machine", "q35,memory-backend=mem"]);
            command
                .args(["-object", &format!("memory-backend-file,id=mem,size={megabytes}M,share=on,mem-path={memory}")]);
        } else {
            command.args(["-machine", "q35"]);
        }
        match transport {
            Transport::VhostUser => command
                .args(["-chardev", &format!("socket,id=card,path={card}")])
                .args(["-device", &format!("{},addr={DEVICE},id=card0", device_option("card"))]),
            Transport::VfioUser => {
                let socket = json!({ "type": "unix", "path": card });
                let (driver, addr) = (VFIO_USER_DEVICE, DEVICE.to_string());
                let option = json!({ "driver": driver, "addr": addr, "id": "card0", "socket": socket });
                command.args(["-device", &option.to_string()])
            }
        };
        command.args(["-qtest", "unix:qtest", "-qtest-log", "none"]);
        command.args(["-chardev", "socket,id=qmp,path=qmp", "-mon", "chardev=qmp,mode=control"]);
        let mut process = Process::start("QEMU", command)?;
        // QEMU opens the monitor first.
        let qmp = accept(&qmp, &mut process, folder)?;
        let qtest = accept(&qtest, &mut process, folder)?;
        let mut qemu = Self { process, qtest, qmp, resets: 0 };
        qemu.event("its greeting")?;
        qemu.qmp("qmp_capabilities", &json!({}))?;
        Ok(qemu)
    }

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Sends commands over qtest, all at once, and returns what follows `OK` in the answer to each.
    ///
    /// # Errors
    /// [`Failure::Ended`] or [`Failure::Silent`] when QEMU has ended or does not answer, [`Failure::Answer`] when its answer
    /// breaks the protocol.
    pub fn send(&mut self, lines: &[String]) -> Result<Vec<String>> {
        let mut answers = Vec::with_capacity(lines.len());
        for some in lines.chunks(LINES_AT_ONCE) {
            let text = some.iter().fold(String::new(), |mut text, line| {
                let _ = writeln!(text, "{line}");
                text
            });
            if self.qtest.get_ref().write_all(text.as_bytes()).is_err() {
                return Err(self.process.unanswered(&some[0], QEMU_LIMIT));
            }
            for line in some {
                answers.push(self.answer(line)?);
            }
        }
        Ok(answers)
    }

    fn answer(&mut self, line: &str) -> Result<String> {
        loop {
            let mut answer = String::new();
            match self.qtest.read_line(&mut answer) {
                Ok(bytes) if bytes > 0 => {}
                _ => return Err(self.process.unanswered(line, QEMU_LIMIT)),
            }
            if let Some(rest) = answer.trim_end().strip_prefix("OK") {
                return Ok(rest.trim().to_owned());
            }
            // Messages about interrupts come in between.
            if !answer.starts_with("IRQ") {
                let (question, answer) = (line.to_owned(), answer.trim_end().to_owned());
                return Err(Failure::Answer { process: "QEMU", question, answer });
            }
        }
    }

    fn numbers(&mut self, lines: &[String]) -> Result<Vec<u64>> {
        let answers = self.send(lines)?;
        let number = |(line, answer): (&String, String)| {
            u64::from_str_radix(answer.trim_start_matches("0x"), 16).map_err(|_| Failure::Answer {
                process: "QEMU",
                question: line.clone(),
                answer,
            })
        };
        lines.iter().zip(answers).map(number).collect()
    }

    fn number(&mut self, line: String) -> Result<u64> {
        Ok(self.numbers(&[line])?.first().copied().unwrap_or_default())
    }

    /// Reads 32-bit words one after the other.
    ///
    /// # Errors
    /// As for [`send`](Self::send), for the commands that this takes.
    pub fn read_words(&mut self, address: u64, words: usize) -> Result<Vec<u32>> {
        let lines: Vec<String> = (0..words as u64).map(|word| format!("readl {:#x}", address + 4 * word)).collect();
        Ok(self.numbers(&lines)?.into_iter().map(|word| word as u32).collect())
    }

    /// Reads `bytes` (1, 2, 4 or 8) at a guest-physical address.
    ///
    /// # Errors
    /// As for [`send`](Self::send), for the commands that this takes.
    pub fn read(&mut self, address: u64, bytes: usize) -> Result<u64> {
        self.number(format!("read{} {address:#x}", letter(bytes)))
    }

    /// Writes `bytes` (1, 2, 4 or 8) at a guest-physical address.
    ///
    /// # Errors
    /// As for [`send`](Self::send), for the commands that this takes.
    pub fn write(&mut self, address: u64, bytes: usize, value: u64) -> Result {
        self.send(&[format!("write{} {address:#x} {value:#x}", letter(bytes))]).map(|_| ())
    }

    /// Writes the same value `times` times.
    ///
    /// # Errors
    /// As for [`send`](Self::send), for the commands that this takes.
    pub fn write_often(&mut self, address: u64, bytes: usize, value: u64, times: usize) -> Result {
        self.send(&vec![format!("write{} {address:#x} {value:#x}", letter(bytes)); times]).map(|_| ())
    }

    /// Reads from the function's configuration space.
    ///
    /// # Errors
    /// As for [`send`](Self::send), for the commands that this takes.
    pub fn config_read(&mut self, offset: u32) -> Result<u32> {
        let lines = [format!("outl 0xcf8 {:#x}", 0x8000_0000 | DEVICE << 11 | offset), "inl 0xcfc".into()];
        let answers = self.send(&lines)?;
        let answer = answers.get(1).cloned().unwrap_or_default();
        u32::from_str_radix(answer.trim_start_matches("0x"), 16).map_err(|_| Failure::Answer {
            process: "QEMU",
            question: lines[1].clone(),
            answer,
        })
    }

    /// Writes to the function's configuration space.
    ///
    /// # Errors
    /// As for [`send`](Self::send), for the commands that this takes.
    pub fn config_write(&mut self, offset: u32, value: u32) -> Result {
        let address = 0x8000_0000 | DEVICE << 11 | offset;
        self.send(&[format!("outl 0xcf8 {address:#x}"), format!("outl 0xcfc {value:#x}")]).map(|_| ())
    }

    fn event(&mut self, question: &str) -> Result<Value> {
        let mut line = String::new();
        match self.qmp.read_line(&mut line) {
            Ok(bytes) if bytes > 0 => {}
            _ => return Err(self.process.unanswered(question, QEMU_LIMIT)),
        }
        let text: Value = serde_json::from_str(&line).map_err(|_| Failure::Answer {
            process: "QEMU's monitor",
            question: question.into(),
            answer: line.trim_end().into(),
        })?;
        self.resets += u64::from(text["event"] == "RESET");
        Ok(text)
    }

    /// Executes a monitor command, and returns its result.
    ///
    /// # Errors
    /// [`Failure::Ended`] or [`Failure::Silent`] when QEMU has ended or does not answer, [`Failure::Answer`] when its answer
    /// breaks the protocol.
    pub fn qmp(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        // In one piece: QEMU acts at the last brace, and has ended before a line's end could follow `quit`.
        let line = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        if self.qmp.get_ref().write_all(line.as_bytes()).is_err() {
            return Err(self.process.unanswered(command, QEMU_LIMIT));
        }
        loop {
            let answer = self.event(command)?;
            if let Some(result) = answer.get("return") {
                return Ok(result.clone());
            }
            if answer.get("event").is_none() {
                let (question, answer) = (command.to_owned(), answer.to_string());
                return Err(Failure::Answer { process: "QEMU's monitor", question, answer });
            }
        }
    }

    /// Resets the whole machine, as its reset button does.
    ///
    /// # Errors
    /// As for [`qmp`](Self::qmp), for the command and for the event.
    pub fn system_reset(&mut self) -> Result {
        let before = self.resets;
        self.qmp("system_reset", &json!({}))?;
        // The command only requests the reset; the event, which may come before the command's answer, confirms it.
        while self.resets == before {
            self.event("system_reset")?;
        }
        Ok(())
    }

    /// Ends QEMU, and checks that it ends with success.
    ///
    /// # Errors
    /// As for [`qmp`](Self::qmp); [`Failure::Ended`] when QEMU ends in another way, [`Failure::Silent`] when it does not end.
    pub fn quit(mut self) -> Result {
        self.qmp("quit", &json!({}))?;
        match self.process.wait(QEMU_LIMIT) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Failure::Ended { process: "QEMU", status: status.to_string() }),
            None => Err(Failure::Silent { process: "QEMU", question: "quit".into(), limit: QEMU_LIMIT }),
        }
    }
}

fn accept(listener: &UnixListener, process: &mut Process, folder: &Path) -> Result<BufReader<UnixStream>> {
    /// How often a listener is polled.
    const POLL: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + QEMU_LIMIT;
    loop {
        if let Ok((stream, _)) = listener.accept() {
            let ready = stream
                .set_nonblocking(false)
                .and_then(|()| stream.set_read_timeout(Some(QEMU_LIMIT)))
                .and_then(|()| stream.set_write_timeout(Some(QEMU_LIMIT)));
            ready.map_err(Failure::host("a socket to QEMU"))?;
            return Ok(BufReader::new(stream));
        }
        if let Some(status) = process.ended() {
            let text = std::fs::read_to_string(folder.join("qemu.log")).unwrap_or_default();
            let status = format!("{status}; its log: {}", text.trim());
            return Err(Failure::Ended { process: "QEMU", status });
        }
        if Instant::now() > deadline {
            return Err(process.unanswered("its start", QEMU_LIMIT));
        }
        std::thread::sleep(POLL);
    }
}

const fn letter(bytes: usize) -> char {
    match bytes {
        1 => 'b',
        2 => 'w',
        4 => 'l',
        _ => 'q',
    }
}
