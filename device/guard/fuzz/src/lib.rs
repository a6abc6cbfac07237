//! A front-end that sends any messages and descriptors through a guard to a back-end of the framework.
//!
//! Holds after every input: the guard answers, no descriptor stays open, the back-end was not lost, and a conforming
//! front-end with a conforming driver is served.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use common::PATIENCE;
use common::front_end::{
    FrontEnd, GUEST, NEED_REPLY, RAM, SIZE, USER, VERSION_1, address_body, config_body, eventfd, fd, ring_body,
    table_body,
};
use vhost::vhost_user::message::FrontendReq;
use vhost_user_guard::{Connector, Guard};

/// Bytes before the data of an act: what, which, length of data, flags, number, wide number.
const RECORD: usize = 16;

/// Most acts of an input, so that one is over soon.
const ACTS_MAX: usize = 64;

/// A range of configuration that no input asks for; its answer says that all before it were sent.
const MARK: (u32, u32) = (3, 7);

/// Descriptors that may be open besides those before the first input: of a connection that is just ending.
const DESCRIPTORS_SPARE: usize = 16;

static BENCH: Mutex<Option<(Bench, usize)>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A part of an input.
#[derive(Clone, Copy)]
struct Act<'d> {
    verb: u8,
    which: u8,
    flags: u8,
    number: u32,
    wide: u64,
    data: &'d [u8],
}

fn acts(mut input: &[u8]) -> impl Iterator<Item = Act<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = input.split_at_checked(RECORD)?;
        let length = usize::from(head[2]).min(rest.len());
        let (data, rest) = rest.split_at(length);
        input = rest;
        Some(Act {
            verb: head[0],
            which: head[1],
            flags: head[3],
            number: u32::from_le_bytes(head[4..8].try_into().unwrap()),
            wide: u64::from_le_bytes(head[8..16].try_into().unwrap()),
            data,
        })
    })
}

/// A guard in front of a back-end, for as long as the process runs. Nothing of it has a path, so that nothing is left of it.
struct Bench {
    /// Front-ends, for the guard to serve.
    front_ends: Sender<UnixStream>,
    /// What it has reported of the back-end.
    changes: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn start() -> Self {
        // A panic of the guard's ends its thread, and would only show as a silent one.
        HOOK.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                eprintln!("{panic}");
                std::process::abort();
            }));
        });
        let name = format!("vhost-user-guard-fuzz-{}", std::process::id());
        let mut limits = vhost_user_guard::Limits::default();
        // What this back-end takes: it would be lost once otherwise, and the guard learn it.
        limits.ring_size = 128;
        limits.heartbeat = Duration::from_millis(20);
        limits.answer = PATIENCE;
        limits.kick = PATIENCE;
        let changes = Arc::new(Mutex::new(Vec::new()));
        let guard = Guard::builder(Connector::abstract_name(&name).unwrap())
            .limits(limits)
            .on_backend({
                let changes = Arc::clone(&changes);
                move |change| changes.lock().unwrap().push(format!("{change:?}"))
            })
            .build();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        common::serve_devices(UnixListener::bind_addr(&address).unwrap(), 1, true);
        let (front_ends, served) = channel();
        std::thread::spawn(move || {
            let (never, _stop) = std::io::pipe().unwrap();
            for front_end in served {
                guard.serve_connection(front_end, &never).unwrap();
            }
        });
        Self { front_ends, changes }
    }

    fn connect(&self) -> FrontEnd {
        let (near, far) = UnixStream::pair().unwrap();
        self.front_ends.send(far).unwrap();
        FrontEnd::over(near)
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Executes an input.
///
/// # Panics
/// When the guard has a defect.
pub fn drive(input: &[u8]) {
    let mut slot = BENCH.lock().unwrap();
    // Those before the first input, so that a descriptor that each leaves open is found.
    let (bench, before) = slot.get_or_insert_with(|| {
        let bench = Bench::start();
        conform(&bench);
        (bench, descriptors())
    });
    let mut peer = Peer { front_end: bench.connect(), kept: Vec::new(), in_step: true };
    peer.front_end.introduce().unwrap();
    for act in acts(input).take(ACTS_MAX) {
        peer.act(act);
        peer.listen();
    }
    peer.catch_up();
    drop(peer);
    conform(bench);
    let deadline = Instant::now() + PATIENCE;
    while descriptors() > *before + DESCRIPTORS_SPARE {
        assert!(Instant::now() < deadline, "{} descriptors stay open, {before} before", descriptors());
        std::thread::yield_now();
    }
    let mut changes = bench.changes.lock().unwrap();
    assert!(changes.iter().all(|change| change == "Reached"), "the back-end was lost: {changes:?}");
    changes.clear();
}

/// A conforming front-end and driver.
fn conform(bench: &Bench) {
    let mut front_end = bench.connect();
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE));
}

struct Peer {
    front_end: FrontEnd,
    kept: Vec<OwnedFd>,
    /// The guard reads where the next message begins.
    in_step: bool,
}

impl Peer {
    fn file(&self, kind: u8) -> Option<OwnedFd> {
        Some(match kind % 12 {
            1 | 2 => fd(&eventfd()).try_clone_to_owned().unwrap(),
            3 | 4 => self.front_end.ram.as_fd().try_clone_to_owned().unwrap(),
            5 => tempfile::tempfile().unwrap().into(),
            6 => std::fs::File::open("/dev/zero").unwrap().into(),
            7 => std::io::pipe().unwrap().0.into(),
            8 => UnixStream::pair().unwrap().0.into(),
            9 => fd(&self.front_end.rings[0].kick).try_clone_to_owned().unwrap(),
            10 => fd(&self.front_end.rings[1].call).try_clone_to_owned().unwrap(),
            11 => self.kept.last()?.try_clone().unwrap(),
            _ => return None,
        })
    }

    fn files(&mut self, wide: u64) -> Vec<OwnedFd> {
        let files: Vec<OwnedFd> = (0..4).filter_map(|index| self.file((wide >> (8 * index)) as u8)).collect();
        if self.kept.len() < 16 {
            self.kept.extend(files.iter().take(1).map(|file| file.try_clone().unwrap()));
        }
        files
    }

    fn act(&mut self, act: Act<'_>) {
        let index = u32::from(act.which) % 3;
        let ack = if act.flags & 0x80 == 0 { NEED_REPLY } else { 0 };
        let near = |base: u64| base.wrapping_add(act.wide % (2 * RAM)).wrapping_sub(RAM / 2);
        match act.verb % 16 {
            0 | 1 => {
                let code = u32::from(act.which) % 48;
                // The framework ends at it, whatever is in it, and the guard learns that.
                if code == u32::from(FrontendReq::GPU_SET_SOCKET) {
                    return;
                }
                let flags = if act.flags & 0x40 == 0 { VERSION_1 | ack } else { u32::from(act.flags) };
                let claimed = if act.flags & 0x20 == 0 { act.data.len() as u32 } else { act.number };
                self.in_step &= claimed as usize == act.data.len();
                let mut bytes: Vec<u8> = [code, flags, claimed].iter().flat_map(|word| word.to_ne_bytes()).collect();
                bytes.extend(act.data);
                self.send(&bytes, act.wide);
            }
            2 => {
                self.in_step &= act.data.is_empty();
                self.send(act.data, act.wide);
            }
            3 | 4 => {
                if self.catch_up() {
                    if act.verb % 16 == 3 {
                        self.front_end.start().unwrap();
                    } else {
                        drop(self.front_end.stop().unwrap());
                    }
                }
            }
            5 => {
                let size = if act.flags & 1 == 0 { SIZE } else { act.number };
                self.front_end.send(FrontendReq::SET_VRING_NUM, ack, &ring_body(index, size), &[]);
            }
            6 => self.front_end.send(FrontendReq::SET_VRING_BASE, ack, &ring_body(index, act.number), &[]),
            7 => {
                let mut parts = FrontEnd::addresses(index % 2);
                if let Some(part) = parts.get_mut(usize::from(act.flags & 3)) {
                    *part = near(*part);
                }
                let flags = u32::from(act.flags & 0x40 != 0);
                self.front_end.send(FrontendReq::SET_VRING_ADDR, ack, &address_body(index, flags, parts), &[]);
            }
            8 | 9 => {
                let code = [FrontendReq::SET_VRING_KICK, FrontendReq::SET_VRING_CALL, FrontendReq::SET_VRING_ERR]
                    [usize::from(act.flags & 0x3f) % 3];
                let file = self.file(act.number as u8);
                let body = u64::from(index) | if file.is_some() { 0 } else { 0x100 };
                let files: Vec<BorrowedFd<'_>> = file.iter().map(AsFd::as_fd).collect();
                self.front_end.send(code, ack, &body.to_ne_bytes(), &files);
            }
            10 => {
                let value = act.number % 3;
                self.front_end.send(FrontendReq::SET_VRING_ENABLE, ack, &ring_body(index, value), &[]);
            }
            11 => {
                let count = usize::from(act.flags % 4);
                let regions: Vec<[u64; 4]> = (0..count as u64)
                    .map(|region| {
                        let length = if region == 0 { act.wide % (RAM + 2) } else { RAM / 2 };
                        let shift = u64::from(act.number % 0x4000) * 0x10 * region;
                        [GUEST + shift, length, USER + shift, if act.which & 1 == 0 { 0 } else { shift % RAM }]
                    })
                    .collect();
                let ram = self.front_end.ram.try_clone().unwrap();
                let files = vec![ram.as_fd(); count];
                self.front_end.send(FrontendReq::SET_MEM_TABLE, ack, &table_body(&regions), &files);
            }
            12 => {
                let code = if act.flags & 1 == 0 { FrontendReq::ADD_MEM_REG } else { FrontendReq::REM_MEM_REG };
                let region = [near(GUEST), u64::from(act.number) % (RAM + 2), near(USER), act.wide >> 52 << 12];
                let body: Vec<u8> = [0].iter().chain(&region).flat_map(|word: &u64| word.to_ne_bytes()).collect();
                let ram = self.front_end.ram.try_clone().unwrap();
                let files = [ram.as_fd()];
                self.front_end.send(code, ack, &body, if act.flags & 3 == 3 { &[] } else { &files });
            }
            13 => {
                let code = if act.flags & 1 == 0 { FrontendReq::GET_CONFIG } else { FrontendReq::SET_CONFIG };
                let size = act.number % 300;
                // Its bytes 0xe4 to 0xe6 make this back-end fail on purpose.
                let body = config_body(act.wide as u32 % 300, size, u32::from(act.flags >> 6), &vec![0; size as usize]);
                self.front_end.send(code, ack, &body, &[]);
            }
            14 => {
                for _ in 0..act.number % 64 {
                    let _ = self.front_end.rings[(index % 2) as usize].kick.write(1);
                }
            }
            _ => {
                let features = if act.flags & 1 == 0 { 1 << 32 | act.wide & (1 << 30) } else { act.wide };
                self.front_end.send(FrontendReq::SET_FEATURES, ack, &features.to_ne_bytes(), &[]);
            }
        }
    }

    fn send(&mut self, bytes: &[u8], wide: u64) {
        let files = self.files(wide);
        let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        self.front_end.send_bytes(bytes, &files);
    }

    /// Reads the answers that are there, so that the guard can write more.
    fn listen(&mut self) {
        let mut bytes = [0; 4096];
        while rustix::net::recv(
            &self.front_end.socket,
            &mut bytes,
            rustix::net::RecvFlags::DONTWAIT | rustix::net::RecvFlags::PEEK,
        )
        .is_ok_and(|(got, _)| got >= 12)
        {
            // Answers go out whole.
            self.front_end.receive().unwrap();
        }
    }

    /// Waits until the guard has answered everything, if it is in step; whether it is.
    fn catch_up(&mut self) -> bool {
        if self.in_step {
            let (offset, size) = MARK;
            let body = config_body(offset, size, 0, &vec![0; size as usize]);
            // An input may have given up the configuration, or acknowledgements.
            self.front_end.send(FrontendReq::SET_PROTOCOL_FEATURES, 0, &(!0_u64).to_ne_bytes(), &[]);
            self.front_end.send(FrontendReq::GET_CONFIG, 0, &body, &[]);
            loop {
                let reply = self.front_end.receive().unwrap();
                let is_config = reply.code == u32::from(FrontendReq::GET_CONFIG);
                if is_config && reply.body.len() == 12 + size as usize && reply.body[..4] == offset.to_ne_bytes() {
                    break;
                }
            }
        }
        self.in_step
    }
}
