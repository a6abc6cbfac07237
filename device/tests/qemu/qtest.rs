//! QEMU under the test's control: `qtest` for memory and I/O, QMP for the machine, and its end seen.
//!
//! Source: QEMU, `docs/devel/testing/qtest.rst`, and the comment at the head of `system/qtest.c`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long QEMU may take to start, answer or leave.
const PATIENCE: Duration = Duration::from_secs(60);

/// Guest memory in bytes.
pub(crate) const RAM: u64 = 64 << 20;

/// QEMU.
pub(crate) struct Qemu {
    process: Child,
    qtest: BufReader<UnixStream>,
    qmp: BufReader<UnixStream>,
}

impl Qemu {
    /// Starts a machine whose memory is the file `memory` and whose card is behind `card`.
    pub(crate) fn start(command: &str, folder: &Path, memory: &Path, card: &Path) -> Self {
        let listen = |name: &str| {
            let path = folder.join(name);
            (UnixListener::bind(&path).unwrap(), path)
        };
        let (qtest, qtest_path) = listen("qtest.sock");
        let (qmp, qmp_path) = listen("qmp.sock");
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let megabytes = RAM >> 20;
        let mut words = command.split_ascii_whitespace();
        let mut process = Command::new(words.next().unwrap())
            .args(words)
            .args(["-accel", "qtest", "-display", "none", "-serial", "none", "-nodefaults", "-no-user-config"])
            .args(["-machine", "q35,memory-backend=mem", "-m", &format!("{megabytes}M")])
            .args(["-object", &format!("memory-backend-file,id=mem,size={megabytes}M,share=on,mem-path={}", text(memory))])
            .args(["-chardev", &format!("socket,id=card,path={}", text(card))])
            .args(["-device", &format!(
                "vhost-user-test-device-pci,chardev=card,virtio-id={},num_vqs=5,vq_size=128,config_size=160,addr=4,id=card0",
                card_spec::VIRTIO_ID
            )])
            .args(["-qtest", &format!("unix:{}", text(&qtest_path)), "-qtest-log", "none"])
            .args(["-chardev", &format!("socket,id=qmp,path={}", text(&qmp_path)), "-mon", "chardev=qmp,mode=control"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command} cannot be started: {error}"));
        let mut accept = |listener: UnixListener| {
            listener.set_nonblocking(true).unwrap();
            let deadline = Instant::now() + PATIENCE;
            loop {
                if let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return BufReader::new(stream);
                }
                if let Some(status) = process.try_wait().unwrap() {
                    panic!("QEMU ended at its start: {status}");
                }
                assert!(Instant::now() < deadline, "QEMU does not connect");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        // QEMU opens the monitor first.
        let qmp = accept(qmp);
        let qtest = accept(qtest);
        let mut qemu = Self { process, qtest, qmp };
        qemu.event();
        qemu.qmp("qmp_capabilities", &json!({}));
        qemu
    }

    /// One exchange over qtest; what follows `OK`.
    fn say(&mut self, line: &str) -> String {
        self.qtest.get_ref().write_all(format!("{line}\n").as_bytes()).expect("QEMU lives");
        loop {
            let mut answer = String::new();
            self.qtest.read_line(&mut answer).expect("QEMU answers");
            assert!(!answer.is_empty(), "QEMU is gone after `{line}`");
            // Interrupts are told in between.
            if let Some(rest) = answer.trim_end().strip_prefix("OK") {
                return rest.trim().to_owned();
            }
            assert!(answer.starts_with("IRQ"), "QEMU answers `{answer}` to `{line}`");
        }
    }

    fn number(&mut self, line: &str) -> u64 {
        let answer = self.say(line);
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).expect("a number")
    }

    /// Reads 32 bits of a register in memory.
    pub(crate) fn read32(&mut self, address: u64) -> u32 {
        self.number(&format!("readl {address:#x}")) as u32
    }

    /// Reads 16 bits.
    pub(crate) fn read16(&mut self, address: u64) -> u16 {
        self.number(&format!("readw {address:#x}")) as u16
    }

    /// Reads 8 bits.
    pub(crate) fn read8(&mut self, address: u64) -> u8 {
        self.number(&format!("readb {address:#x}")) as u8
    }

    /// Writes 32 bits.
    pub(crate) fn write32(&mut self, address: u64, value: u32) {
        self.say(&format!("writel {address:#x} {value:#x}"));
    }

    /// Writes 16 bits.
    pub(crate) fn write16(&mut self, address: u64, value: u16) {
        self.say(&format!("writew {address:#x} {value:#x}"));
    }

    /// Writes 8 bits.
    pub(crate) fn write8(&mut self, address: u64, value: u8) {
        self.say(&format!("writeb {address:#x} {value:#x}"));
    }

    /// Writes 32 bits to a port.
    pub(crate) fn out32(&mut self, port: u16, value: u32) {
        self.say(&format!("outl {port:#x} {value:#x}"));
    }

    /// Reads 32 bits from a port.
    pub(crate) fn in32(&mut self, port: u16) -> u32 {
        self.number(&format!("inl {port:#x}")) as u32
    }

    fn event(&mut self) -> Value {
        let mut line = String::new();
        self.qmp.read_line(&mut line).expect("QEMU's monitor answers");
        serde_json::from_str(&line).expect("JSON from QEMU's monitor")
    }

    /// A monitor command; its result.
    pub(crate) fn qmp(&mut self, command: &str, arguments: &Value) -> Value {
        // In one piece: QEMU acts at the last brace, and has left before a line's end could follow `quit`.
        let line = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        self.qmp.get_ref().write_all(line.as_bytes()).expect("QEMU lives");
        loop {
            let answer = self.event();
            if let Some(result) = answer.get("return") {
                return result.clone();
            }
            assert!(answer.get("event").is_some(), "{command}: {answer}");
        }
    }

    /// QEMU is told to leave, and leaves as it should.
    pub(crate) fn quit(mut self) {
        self.qmp("quit", &json!({}));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "QEMU left with {status}");
                return;
            }
            assert!(Instant::now() < deadline, "QEMU does not leave");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
