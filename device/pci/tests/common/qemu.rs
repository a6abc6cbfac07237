//! A QEMU under qtest, with a card.
//!
//! Source: QEMU, `docs/devel/testing/qtest.rst`, and the comment at the head of `system/qtest.c`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::{SOON, until};

/// The device number on bus 0 that the card has.
const DEVICE: u32 = 4;

/// Names the QEMU of these tests; `cargo dmus test` sets it.
const VARIABLE: &str = "VFIO_USER_CARD_QEMU";

/// Finds a QEMU with `vfio-user-pci`: the named one, the one that `cargo dmus` has unpacked, or the system's.
fn program() -> PathBuf {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let unpacked = target.join("dmus/qemu/qemu-system-x86_64");
    let candidates = named.into_iter().chain([unpacked, "qemu-system-x86_64".into()]);
    let fit = |program: &PathBuf| {
        let help = Command::new(program).args(["-device", "help"]).output();
        help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("\"vfio-user-pci\""))
    };
    candidates.into_iter().find(fit).unwrap_or_else(|| {
        panic!(
            "no QEMU with vfio-user-pci (10.1 or later): name one in {VARIABLE}, or let `cargo dmus setup` provide one"
        )
    })
}

pub(crate) struct Qemu {
    child: Child,
    qtest: BufReader<UnixStream>,
    qmp: BufReader<UnixStream>,
    log: PathBuf,
    /// The levels of the interrupt controller's inputs that were reported.
    pub(crate) lines: [bool; 64],
}

impl Qemu {
    /// Starts a machine with the card that listens on `socket`.
    pub(crate) fn start(folder: &Path, socket: &Path) -> Self {
        let paths = ["qtest", "qmp"].map(|name| folder.join(name));
        let listeners = paths.each_ref().map(|path| {
            let _ = std::fs::remove_file(path);
            let listener = UnixListener::bind(path).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        });
        let log = folder.join("qemu.log");
        let device = json!({
            "driver": "vfio-user-pci", "addr": DEVICE.to_string(), "id": "card",
            "socket": {"type": "unix", "path": socket},
        });
        let [qtest, qmp] = paths.map(|path| path.display().to_string());
        let child = Command::new(program())
            .args(["-accel", "qtest", "-display", "none", "-serial", "none", "-nodefaults", "-no-user-config"])
            .args(["-m", "64M", "-object", "memory-backend-memfd,id=mem,size=64M,share=on"])
            .args(["-machine", "q35,memory-backend=mem", "-device", &device.to_string()])
            .args(["-qtest", &format!("unix:{qtest}"), "-qtest-log", "none"])
            .args(["-chardev", &format!("socket,id=qmp,path={qmp}"), "-mon", "chardev=qmp,mode=control"])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut started = Started { child: Some(child), log: log.clone() };
        let [qtest, qmp] = listeners.map(|listener| started.accept(&listener));
        let child = started.child.take().unwrap();
        let mut qemu = Self { child, qtest, qmp, log, lines: [false; 64] };
        qemu.event();
        qemu.qmp("qmp_capabilities");
        qemu.command("irq_intercept_in ioapic");
        qemu
    }

    /// Sends a qtest command, and returns what follows `OK`.
    pub(crate) fn command(&mut self, line: &str) -> String {
        writeln!(self.qtest.get_mut(), "{line}").unwrap();
        loop {
            let answer = self.line();
            if let Some(rest) = answer.strip_prefix("OK") {
                return rest.trim().to_owned();
            }
            assert!(self.interrupt(&answer), "{line}: {answer}");
        }
    }

    fn line(&mut self) -> String {
        let mut answer = String::new();
        let bytes = self.qtest.read_line(&mut answer);
        let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(bytes.is_ok_and(|bytes| bytes > 0), "QEMU does not answer: {}", log());
        answer.trim_end().to_owned()
    }

    fn interrupt(&mut self, answer: &str) -> bool {
        let Some((level, line)) = answer.strip_prefix("IRQ ").and_then(|rest| rest.split_once(' ')) else {
            return false;
        };
        if let Some(known) = line.parse().ok().and_then(|line: usize| self.lines.get_mut(line)) {
            *known = level == "raise";
        }
        true
    }

    /// Waits until a line of the interrupt controller has this level.
    pub(crate) fn wait_line(&mut self, line: usize, level: bool) {
        let deadline = Instant::now() + SOON;
        while self.lines[line] != level {
            assert!(Instant::now() < deadline, "line {line} does not become {level}");
            // Any command makes QEMU report what has changed.
            self.command("clock_step 1000");
        }
    }

    fn number(&mut self, line: &str) -> u64 {
        let answer = self.command(line);
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).unwrap_or_else(|_| panic!("{line}: {answer}"))
    }

    /// Reads `bytes` (1, 2, 4 or 8) at a guest-physical address.
    pub(crate) fn read(&mut self, address: u64, bytes: usize) -> u64 {
        self.number(&format!("read{} {address:#x}", letter(bytes)))
    }

    pub(crate) fn write(&mut self, address: u64, bytes: usize, value: u64) {
        self.command(&format!("write{} {address:#x} {value:#x}", letter(bytes)));
    }

    /// Reads `bytes` (1, 2 or 4) from an I/O port.
    pub(crate) fn input(&mut self, port: u16, bytes: usize) -> u32 {
        self.number(&format!("in{} {port:#x}", letter(bytes))) as u32
    }

    pub(crate) fn output(&mut self, port: u16, bytes: usize, value: u32) {
        self.command(&format!("out{} {port:#x} {value:#x}", letter(bytes)));
    }

    /// Reads `bytes` (1, 2 or 4) from the card's configuration space.
    pub(crate) fn config(&mut self, offset: u8, bytes: usize) -> u32 {
        self.output(0xcf8, 4, 0x8000_0000 | DEVICE << 11 | u32::from(offset & !3));
        self.input(0xcfc + u16::from(offset & 3), bytes)
    }

    pub(crate) fn set_config(&mut self, offset: u8, bytes: usize, value: u32) {
        self.output(0xcf8, 4, 0x8000_0000 | DEVICE << 11 | u32::from(offset & !3));
        self.output(0xcfc + u16::from(offset & 3), bytes, value);
    }

    /// Returns the offset of the first capability with this identifier.
    pub(crate) fn capability(&mut self, id: u32) -> u8 {
        let mut at = self.config(0x34, 1) as u8;
        while at != 0 && self.config(at, 1) != id {
            at = self.config(at + 1, 1) as u8;
        }
        assert!(at != 0, "no capability {id:#x}");
        at
    }

    fn event(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.qmp.read_line(&mut line).unwrap() > 0, "QEMU's monitor has ended");
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn qmp(&mut self, command: &str) {
        writeln!(self.qmp.get_mut(), "{}", json!({"execute": command})).unwrap();
        while self.event().get("return").is_none() {}
    }

    /// Resets the machine, and waits for that.
    pub(crate) fn reset(&mut self) {
        writeln!(self.qmp.get_mut(), "{}", json!({"execute": "system_reset"})).unwrap();
        while self.event()["event"] != "RESET" {}
    }

    /// Kills the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("QEMU: {}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// A QEMU that is starting; killed when it does not come up.
struct Started {
    child: Option<Child>,
    log: PathBuf,
}

impl Started {
    fn accept(&mut self, listener: &UnixListener) -> BufReader<UnixStream> {
        let stream = until("QEMU connects", || {
            if let Ok((stream, _)) = listener.accept() {
                return Some(stream);
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "QEMU has ended: {}", log());
            None
        });
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        BufReader::new(stream)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
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
