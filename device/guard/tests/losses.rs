//! Back-ends that are killed, hang, panic or lie: the front-end goes on, and a new back-end takes over.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::front_end::{FrontEnd, SIZE, config_body, fd, ring_body};
use common::process::Process;
use common::{Guarded, PATIENCE, device};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use vhost::vhost_user::message::FrontendReq;
use vhost_user_guard::{ConfigSnapshot, Fault, LossMark};
use vmm_sys_util::eventfd::EventFd;

/// Not a test by itself: other tests start this process again as a back-end.
#[test]
fn is_a_back_end_for_the_others() {
    common::process::serve_if_asked();
}

const MARK: LossMark = LossMark { offset: 5, value: 0xdd };

/// A step's name, and what it does.
type Step = (&'static str, fn(&mut FrontEnd));

/// Steps of a front-end, one after the other.
const STEPS: &[Step] = &[
    ("introduction", |f| f.introduce().unwrap()),
    ("configuration", |f| assert_eq!(f.config(64).unwrap().len(), 64)),
    ("features", |f| {
        let features = 1_u64 << 32 | 1 << 30;
        assert_eq!(f.tell(FrontendReq::SET_FEATURES, &features.to_ne_bytes(), &[]).unwrap(), 0);
    }),
    ("memory", |f| assert_eq!(f.share_memory().unwrap(), 0)),
    ("first ring", |f| f.start_ring(0, 0).unwrap()),
    ("second ring", |f| f.start_ring(1, 0).unwrap()),
    ("enabling", |f| {
        for index in 0..2 {
            assert_eq!(f.tell(FrontendReq::SET_VRING_ENABLE, &ring_body(index, 1), &[]).unwrap(), 0);
        }
    }),
    ("request", |f| f.offer(0, &[1, 2, 3])),
    ("second configuration", |f| assert_eq!(f.config(64).unwrap().len(), 64)),
    ("stop", |f| {
        f.stop().unwrap();
    }),
];

#[test]
fn a_back_end_may_be_killed_after_each_step() {
    for (killed_after, (name, _)) in STEPS.iter().enumerate() {
        let guarded = Guarded::start(|builder| builder.loss_mark(MARK));
        let first = Process::start(&guarded.backend(), 1);
        let mut front_end = FrontEnd::connect(&guarded.socket());
        let mut first = Some(first);
        for (index, (_, step)) in STEPS.iter().enumerate() {
            step(&mut front_end);
            if index == killed_after {
                first.take().unwrap().kill();
                guarded.wait_for_change("Lost(Disconnected", 1);
                // Configuration is read as before, but for the mark.
                let config = front_end.config(64).unwrap();
                assert_eq!(config[5], MARK.value, "killed after {name}");
            }
        }
        let _second = Process::start(&guarded.backend(), 2);
        guarded.wait_for_change("Reached", 2);
        front_end.stop().unwrap();
        front_end.start().unwrap();
        assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE), "killed after {name}");
        let config = front_end.config(64).unwrap();
        assert_eq!((config[5], config[63]), (5, 2));
    }
}

#[test]
fn a_back_end_may_be_killed_a_hundred_times_while_requests_run() {
    let guarded = Guarded::start(|builder| builder);
    let mut process = Process::start(&guarded.backend(), 1);
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    for round in 1..=100_usize {
        front_end.start().unwrap();
        // As many as a round's number says, so that the end comes at different times.
        for _ in 0..round % 7 {
            front_end.offer(0, &[round as u8; 8]);
            front_end.offer(1, &[round as u8; 8]);
        }
        process.kill();
        guarded.wait_for_change("Lost", round);
        front_end.stop().unwrap();
        process = Process::start(&guarded.backend(), 1);
        guarded.wait_for_change("Reached", round + 1);
    }
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE));
}

#[test]
fn a_loss_interrupts_once_and_rings_wait_for_the_reset() {
    let guarded = Guarded::start(|builder| builder.loss_mark(MARK));
    let first = Process::start(&guarded.backend(), 1);
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE));
    front_end.interrupted(0, Duration::ZERO);
    first.kill();
    for index in 0..2 {
        assert!(front_end.interrupted(index, PATIENCE), "ring {index} is interrupted at the loss");
        assert!(!front_end.interrupted(index, Duration::from_millis(50)), "ring {index} is interrupted once");
    }
    let _second = Process::start(&guarded.backend(), 2);
    guarded.wait_for_change("Reached", 2);
    assert!(!front_end.echoes(0, Duration::from_millis(300)), "nothing is known about requests of the lost back-end");
    assert_eq!(front_end.config(64).unwrap()[5], MARK.value);
    // A pause of the machine is no reset.
    let bases = front_end.stop().unwrap();
    assert_eq!(bases, [1, 0]);
    front_end.start_ring(0, 1).unwrap();
    front_end.tell(FrontendReq::SET_VRING_ENABLE, &ring_body(0, 1), &[]).unwrap();
    assert!(!front_end.completed(0, Duration::from_millis(300)));
    assert!(guarded.take_findings().iter().any(|found| found.fault == Fault::AwaitsReset && found.ring == Some(0)));
    assert_eq!(front_end.config(64).unwrap()[5], MARK.value);

    front_end.stop().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE));
    assert_eq!(front_end.config(64).unwrap()[5], 5);
}

#[test]
fn rings_of_a_back_end_that_completes_in_order_go_on_without_a_reset() {
    let guarded = Guarded::start(|builder| builder.completes_in_order(true));
    let first = Process::start(&guarded.backend(), 1);
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    for _ in 0..2 * SIZE {
        assert!(front_end.echoes(0, PATIENCE));
    }
    first.kill();
    guarded.wait_for_change("Lost", 1);
    front_end.offer(0, &[7; 4]);
    let _second = Process::start(&guarded.backend(), 2);
    assert!(front_end.completed(0, PATIENCE), "what was offered meanwhile is served");
    assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE));
    assert_eq!(guarded.take_findings(), []);
}

#[test]
fn a_back_end_that_is_stopped_is_lost_and_holds_no_answer_longer_than_the_limit() {
    let guarded = Guarded::start(|builder| builder);
    let first = Process::start(&guarded.backend(), 1);
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE));
    first.signal(Signal::STOP);
    let begin = Instant::now();
    front_end.stop().unwrap();
    // One limit for all that was asked, and as much again for a machine that is busy.
    assert!(begin.elapsed() < common::limits().answer * 3, "{:?}", begin.elapsed());
    guarded.wait_for_change("Lost(Silent", 1);
    assert_eq!(front_end.config(64).unwrap().len(), 64);
    first.kill();
    let _second = Process::start(&guarded.backend(), 2);
    guarded.wait_for_change("Reached", 2);
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE));
}

fn is_readable(counter: &EventFd) -> bool {
    let file = fd(counter);
    let mut watched = [PollFd::new(&file, PollFlags::IN)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
}

#[test]
fn a_heartbeat_finds_a_stopped_back_end_while_the_front_end_is_silent() {
    let guarded = Guarded::start(|builder| builder);
    let first = Process::start(&guarded.backend(), 1);
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    for index in 0..2 {
        assert!(front_end.echoes(index, PATIENCE));
        // A kick that it has not read yet would be found before.
        let kick = front_end.rings[index as usize].kick.try_clone().unwrap();
        common::until("the kick is read", || (!is_readable(&kick)).then_some(()));
        while front_end.interrupted(index, Duration::from_millis(20)) {}
    }
    first.signal(Signal::STOP);
    assert!(front_end.interrupted(0, PATIENCE) && front_end.interrupted(1, PATIENCE));
    guarded.wait_for_change("Lost(Silent { request: 1 })", 1);
    // It comes back to itself, and is a new one then.
    first.signal(Signal::CONT);
    guarded.wait_for_change("Reached", 2);
    front_end.stop().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(0, PATIENCE));
}

#[test]
fn a_worker_that_fails_panics_or_hangs_is_noticed_by_its_unread_kick() {
    for (request, reads_kicks) in [(device::FAIL, false), (device::PANIC, false), (device::HANG, true)] {
        let guarded = Guarded::start(|builder| builder.reads_kicks(reads_kicks));
        guarded.listen_echo();
        let mut front_end = FrontEnd::connect(&guarded.socket());
        front_end.introduce().unwrap();
        front_end.start().unwrap();
        if !reads_kicks {
            assert!(front_end.echoes(0, PATIENCE));
            std::thread::sleep(Duration::from_millis(100));
        }
        front_end.offer(0, &[request; 4]);
        // A kick that comes before the worker has failed is read with the one before. A poisoned lock may end the daemon first.
        common::until("a loss", || {
            front_end.rings[0].kick.write(1).unwrap();
            guarded.changes.lock().unwrap().iter().any(|change| change.starts_with("Lost")).then_some(())
        });
        guarded.wait_for_change("Reached", 2);
        front_end.stop().unwrap();
        front_end.start().unwrap();
        assert!(front_end.echoes(0, PATIENCE), "{request:#x}");
    }
}

#[test]
fn an_idle_ring_and_a_busy_one_are_no_loss() {
    let guarded = Guarded::echo();
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        assert!(front_end.echoes(0, PATIENCE));
        front_end.rings[1].kick.write(1).unwrap();
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!(front_end.echoes(1, PATIENCE));
    assert_eq!(guarded.changes.lock().unwrap().len(), 1);
}

#[test]
fn a_write_of_the_configuration_that_ends_a_back_end_reaches_no_second_one() {
    for first_byte in [device::CONFIG_FAIL, device::CONFIG_PANIC, device::CONFIG_HANG] {
        let guarded = Guarded::echo();
        let mut front_end = FrontEnd::connect(&guarded.socket());
        front_end.introduce().unwrap();
        let write = config_body(0, 1, 0, &[first_byte]);
        assert_eq!(front_end.tell(FrontendReq::SET_CONFIG, &write, &[]).unwrap(), 0);
        guarded.wait_for_change("Lost", 1);
        assert_eq!(front_end.config(64).unwrap().len(), 64);
        if first_byte == device::CONFIG_HANG {
            // The daemon's thread does not come back to take a new connection.
            continue;
        }
        guarded.wait_for_change("Reached", 2);
        assert_eq!(front_end.tell(FrontendReq::SET_CONFIG, &write, &[]).unwrap(), 0);
        front_end.start().unwrap();
        assert!(front_end.echoes(0, PATIENCE));
        let findings = guarded.take_findings();
        assert!(
            findings.iter().any(|found| found.fault == Fault::EndsBackend),
            "{findings:?}, {:?}",
            guarded.changes.lock().unwrap()
        );
        assert_eq!(guarded.changes.lock().unwrap().len(), 3, "lost once");
    }
}

#[test]
fn a_front_end_waits_for_the_first_back_end_and_may_leave_meanwhile() {
    let guarded = Guarded::start(|builder| builder);
    drop(FrontEnd::connect(&guarded.socket()));
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.send(FrontendReq::GET_FEATURES, 0, &[], &[]);
    std::thread::sleep(Duration::from_millis(100));
    guarded.listen_echo();
    assert_eq!(front_end.receive().unwrap().number(), 1 << 32 | 1 << 30);
}

/// Answers requests with numbers until the connection ends.
fn lie(listener: &UnixListener, answer: impl Fn(u32) -> Option<Vec<u8>>) {
    let (mut socket, _) = listener.accept().unwrap();
    let mut header = [0; 12];
    while socket.read_exact(&mut header).is_ok() {
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        let mut body = vec![0; word(8) as usize];
        socket.read_exact(&mut body).unwrap();
        let Some(answer) = answer(word(0)) else { continue };
        let _ = socket.write_all(&answer);
    }
}

fn reply(code: u32, number: u64) -> Vec<u8> {
    [code.to_ne_bytes(), 5_u32.to_ne_bytes(), 8_u32.to_ne_bytes()]
        .concat()
        .into_iter()
        .chain(number.to_ne_bytes())
        .collect()
}

#[test]
fn a_back_end_that_cannot_take_the_place_of_the_first_is_left() {
    let guarded = Guarded::start(|builder| builder);
    let first = Process::start(&guarded.backend(), 1);
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    front_end.start().unwrap();
    first.kill();
    std::fs::remove_file(guarded.backend()).unwrap();
    let other = UnixListener::bind(guarded.backend()).unwrap();
    lie(&other, |code| (code == 1).then(|| reply(1, 1 << 31)));
    guarded.wait_for_change("Unfit(Features { expected: 5368709120, got: 2147483648 })", 1);
    drop(other);
    let _second = Process::start(&guarded.backend(), 2);
    guarded.wait_for_change("Reached", 2);
    front_end.stop().unwrap();
    front_end.start().unwrap();
    assert!(front_end.echoes(1, PATIENCE));
}

#[test]
fn answers_that_do_not_fit_are_a_loss_of_the_back_end_and_not_of_the_front_end() {
    let long = [1_u32.to_ne_bytes(), 5_u32.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat();
    for first in [reply(2, 0), vec![0xff; 20], long, vec![1, 2, 3]] {
        let guarded = Guarded::start(|builder| builder);
        let liar = UnixListener::bind(guarded.backend()).unwrap();
        let mut front_end = FrontEnd::connect(&guarded.socket());
        lie(&liar, |code| (code == 1).then(|| first.clone()));
        drop(liar);
        std::fs::remove_file(guarded.backend()).unwrap();
        guarded.listen_echo();
        front_end.introduce().unwrap();
        front_end.start().unwrap();
        assert!(front_end.echoes(0, PATIENCE));
    }
}

#[test]
fn configuration_comes_from_a_snapshot_while_the_back_end_hangs() {
    let snapshot = Arc::new(ConfigSnapshot::new(&[1; 64]));
    let guarded = Guarded::start(|builder| builder.config_snapshot(Arc::clone(&snapshot)).loss_mark(MARK));
    let process = Process::start(&guarded.backend(), 1);
    let mut front_end = FrontEnd::connect(&guarded.socket());
    front_end.introduce().unwrap();
    process.signal(Signal::STOP);
    let begin = Instant::now();
    for round in 0..100 {
        snapshot.publish(&[round; 64]);
        assert_eq!(front_end.config(64).unwrap(), [round; 64]);
        if begin.elapsed() > common::limits().answer / 2 {
            break;
        }
    }
    guarded.wait_for_change("Lost(Silent", 1);
    let config = front_end.config(64).unwrap();
    assert_eq!((config[4], config[5]), (snapshot.read()[4], MARK.value));
}

#[test]
fn back_ends_can_connect_by_themselves() {
    use vhost_user_backend::VhostUserDaemon;
    use vhost_user_guard::{Connector, Guard};
    let folder = tempfile::tempdir().unwrap();
    let (front, back) = (folder.path().join("front"), folder.path().join("back"));
    let connector = Connector::listener(UnixListener::bind(&back).unwrap()).unwrap();
    let guard = Guard::builder(connector).limits(common::limits()).build();
    let listener = UnixListener::bind(&front).unwrap();
    let (stop, request_stop) = std::io::pipe().unwrap();
    let serving = std::thread::spawn(move || guard.serve(&listener, &stop));
    let mut front_end = FrontEnd::connect(&front);
    for life in 1..=3 {
        let memory = vm_memory::GuestMemoryAtomic::new(vm_memory::GuestMemoryMmap::new());
        let mut daemon = VhostUserDaemon::new("echo".into(), Arc::new(device::Echo::new(life, None)), memory).unwrap();
        daemon.start_client(back.to_str().unwrap()).unwrap();
        if life == 1 {
            front_end.introduce().unwrap();
        } else {
            common::until("the new back-end", || (front_end.config(64).unwrap()[63] == life).then_some(()));
            front_end.stop().unwrap();
        }
        front_end.start().unwrap();
        assert!(front_end.echoes(0, PATIENCE));
        assert_eq!(front_end.config(64).unwrap()[63], life);
        daemon.request_shutdown();
        daemon.wait().unwrap();
    }
    drop(request_stop);
    serving.join().unwrap().unwrap();
}

#[test]
fn a_framework_that_keeps_its_state_between_connections_serves_each() {
    use vhost_user_backend::VhostUserDaemon;
    let guarded = Guarded::start(|builder| builder);
    let listener = UnixListener::bind(guarded.backend()).unwrap();
    std::thread::spawn(move || {
        let memory = vm_memory::GuestMemoryAtomic::new(vm_memory::GuestMemoryMmap::new());
        let device = Arc::new(device::Echo::new(1, None));
        // One daemon for all: it keeps its owner, its memory and its rings.
        let mut daemon = VhostUserDaemon::new("echo".into(), device, memory).unwrap();
        let mut listener = vhost::vhost_user::Listener::from(listener);
        while daemon.start(&mut listener).is_ok() {
            let _ = daemon.wait();
        }
    });
    for _ in 0..5 {
        let mut front_end = FrontEnd::connect(&guarded.socket());
        front_end.introduce().unwrap();
        front_end.start().unwrap();
        assert!(front_end.echoes(0, PATIENCE) && front_end.echoes(1, PATIENCE));
    }
}
