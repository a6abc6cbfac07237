//! A QEMU under qtest with a `vhost-user-test-device-pci`, and a virtio driver for it.
//!
//! Source: QEMU, `docs/devel/testing/qtest.rst`; OASIS VIRTIO 1.2, 4.1.4 "Virtio Structure PCI Capabilities".

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, until};

/// Names the QEMU of these tests; `cargo dmus test` sets it.
const VARIABLE: &str = "VHOST_USER_GUARD_QEMU";
const DEVICE: &str = "vhost-user-test-device-pci";

/// The device number on bus 0, and where the tests put BAR 2, as firmware would.
const SLOT: u32 = 4;
const BAR: u64 = 0xe000_0000;
const CONFIG: u64 = BAR + 0x2000;
const NOTIFY: u64 = BAR + 0x3000;

/// Fields of the common configuration.
const FEATURE_SELECT: u64 = BAR;
const DRIVER_FEATURE_SELECT: u64 = BAR + 8;
const DRIVER_FEATURE: u64 = BAR + 12;
const STATUS: u64 = BAR + 20;
const QUEUE_SELECT: u64 = BAR + 22;
const QUEUE_SIZE: u64 = BAR + 24;
const QUEUE_ENABLE: u64 = BAR + 28;
const QUEUE_ADDRESSES: u64 = BAR + 32;

/// Where the driver has its rings and buffers.
const RINGS: u64 = 0x20_0000;
const BUFFERS: u64 = 0x40_0000;

/// Finds a QEMU with the device: the named one, the one that `cargo dmus` has unpacked, or the system's.
fn program() -> PathBuf {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let unpacked = target.join("dmus/qemu/qemu-system-x86_64");
    let candidates = named.into_iter().chain([unpacked, "qemu-system-x86_64".into()]);
    let fit = |program: &PathBuf| {
        let help = Command::new(program).args(["-device", "help"]).output();
        help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains(DEVICE))
    };
    candidates.into_iter().find(fit).unwrap_or_else(|| {
        panic!("no QEMU with {DEVICE} (10.2 or later): name one in {VARIABLE}, or let `cargo dmus setup` provide one")
    })
}

/// A machine.
pub(crate) struct Qemu {
    child: Child,
    qtest: BufReader<UnixStream>,
    log: PathBuf,
}

/// A ring as the driver sets it up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) size: u16,
    pub(crate) descriptors: u64,
    pub(crate) available: u64,
    pub(crate) used: u64,
}

impl Layout {
    /// Returns a ring that can work.
    pub(crate) const fn good(index: u64) -> Self {
        let descriptors = RINGS + index * 0x4000;
        Self { size: 64, descriptors, available: descriptors + 0x1000, used: descriptors + 0x2000 }
    }
}

impl Qemu {
    /// Starts a machine with a device whose back-end listens on `socket`.
    pub(crate) fn start(folder: &Path, socket: &Path) -> Self {
        let path = folder.join("qtest");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let log = folder.join("qemu.log");
        let mut child = Command::new(program())
            .args(["-accel", "qtest", "-display", "none", "-serial", "none", "-nodefaults", "-no-user-config"])
            .args(["-m", "64M", "-object", "memory-backend-memfd,id=mem,size=64M,share=on"])
            .args(["-machine", "q35,memory-backend=mem"])
            .args(["-chardev", &format!("socket,id=guarded,path={}", socket.display())])
            .args([
                "-device",
                &format!("{DEVICE},chardev=guarded,addr={SLOT},virtio-id=39,num_vqs=2,vq_size=64,config_size=64"),
            ])
            .args(["-qtest", &format!("unix:{}", path.display()), "-qtest-log", "none"])
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let qtest = until("QEMU", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("QEMU has ended: {status}\n{}", std::fs::read_to_string(&log).unwrap());
            }
            listener.accept().ok().map(|(stream, _)| stream)
        });
        qtest.set_nonblocking(false).unwrap();
        qtest.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut qemu = Self { child, qtest: BufReader::new(qtest), log };
        qemu.set_pci(0x10 + 8, BAR as u32);
        qemu.set_pci(0x10 + 12, 0);
        qemu.set_pci(4, 7);
        qemu
    }

    /// Sends a command; `None` when QEMU has ended.
    fn try_command(&mut self, line: &str) -> Option<String> {
        self.qtest.get_ref().write_all(format!("{line}\n").as_bytes()).ok()?;
        loop {
            let mut answer = String::new();
            if self.qtest.read_line(&mut answer).unwrap_or(0) == 0 {
                return None;
            }
            if let Some(rest) = answer.trim_end().strip_prefix("OK") {
                return Some(rest.trim().to_owned());
            }
            assert!(answer.starts_with("IRQ"), "{line}: {answer}");
        }
    }

    fn command(&mut self, line: &str) -> String {
        self.try_command(line)
            .unwrap_or_else(|| panic!("{line}: QEMU has ended\n{}", std::fs::read_to_string(&self.log).unwrap()))
    }

    fn set_pci(&mut self, offset: u32, value: u32) {
        self.command(&format!("outl 0xcf8 {:#x}", 0x8000_0000 | SLOT << 11 | offset));
        self.command(&format!("outl 0xcfc {value:#x}"));
    }

    pub(crate) fn read(&mut self, width: char, address: u64) -> u64 {
        let answer = self.command(&format!("read{width} {address:#x}"));
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).unwrap()
    }

    pub(crate) fn write(&mut self, width: char, address: u64, value: u64) {
        self.command(&format!("write{width} {address:#x} {value:#x}"));
    }

    /// Reads a byte of the device's configuration.
    pub(crate) fn config(&mut self, offset: u64) -> u8 {
        self.read('b', CONFIG + offset) as u8
    }

    /// Writes a byte of the device's configuration.
    pub(crate) fn set_config(&mut self, offset: u64, value: u8) {
        self.write('b', CONFIG + offset, value.into());
    }

    /// Resets the device, and sets it up with these rings.
    pub(crate) fn set_up(&mut self, rings: [Layout; 2]) {
        self.write('b', STATUS, 0);
        self.write('b', STATUS, 1);
        self.write('b', STATUS, 3);
        self.write('l', FEATURE_SELECT, 0);
        self.write('l', DRIVER_FEATURE_SELECT, 1);
        self.write('l', DRIVER_FEATURE, 1);
        self.write('l', DRIVER_FEATURE_SELECT, 0);
        self.write('l', DRIVER_FEATURE, 0);
        self.write('b', STATUS, 0xb);
        for (index, ring) in rings.into_iter().enumerate() {
            let good = Layout::good(index as u64);
            self.command(&format!("memset {:#x} 0x4000 0", good.descriptors));
            self.write('w', QUEUE_SELECT, index as u64);
            self.write('w', QUEUE_SIZE, ring.size.into());
            for (field, address) in [ring.descriptors, ring.available, ring.used].into_iter().enumerate() {
                self.write('l', QUEUE_ADDRESSES + 8 * field as u64, address & 0xffff_ffff);
                self.write('l', QUEUE_ADDRESSES + 8 * field as u64 + 4, address >> 32);
            }
            self.write('w', QUEUE_ENABLE, 1);
        }
        // The last one may be the end of QEMU, which the caller finds out.
        let _ = self.try_command(&format!("writeb {STATUS:#x} 0xf"));
    }

    /// Sends a request through a ring that can work, the first after a set-up; whether it comes back reversed in time.
    pub(crate) fn echoes(&mut self, index: u64, first_byte: u8, time: Duration) -> bool {
        let ring = Layout::good(index);
        let buffer = BUFFERS + index * 0x1000;
        self.write('l', buffer, 0x0403_0200 | u64::from(first_byte));
        for (descriptor, address, flags, next) in [(0, buffer, 1, 1), (1, buffer + 256, 2, 0)] {
            let at = ring.descriptors + 16 * descriptor;
            self.write('q', at, address);
            self.write('l', at + 8, 4);
            self.write('w', at + 12, flags);
            self.write('w', at + 14, next);
        }
        let offered = self.read('w', ring.available + 2);
        self.write('w', ring.available + 4 + 2 * (offered % 64), 0);
        self.write('w', ring.available + 2, offered + 1);
        self.write('w', NOTIFY + 4 * index, index);
        let deadline = Instant::now() + time;
        while self.read('w', ring.used + 2) != offered + 1 {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.read('l', buffer + 256).swap_bytes() >> 32 == 0x0403_0200 | u64::from(first_byte)
    }

    /// Returns how QEMU has ended, if it has or does soon.
    pub(crate) fn ended(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            match self.child.try_wait().unwrap() {
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                status => return status,
            }
        }
    }

    /// Reads the configuration now and then, by which QEMU notices a lost connection; it may take a moment to be lost.
    pub(crate) fn poke(&mut self) {
        for _ in 0..20 {
            if self.try_command(&format!("readb {CONFIG:#x}")).is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
