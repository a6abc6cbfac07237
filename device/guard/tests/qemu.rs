//! QEMU itself in front of the guard: it goes on where a bare back-end takes it along.

mod common;
#[path = "common/qemu.rs"]
mod qemu;

use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use common::process::Process;
use common::{Guarded, PATIENCE, device, serve_echo};
use qemu::{Layout, Qemu};
use vhost_user_guard::{Fault, LossMark};

/// Not a test by itself: other tests start this process again as a back-end.
#[test]
fn is_a_back_end_for_the_others() {
    common::process::serve_if_asked();
}

const GOOD: [Layout; 2] = [Layout::good(0), Layout::good(1)];
const SIGABRT: i32 = 6;

/// How long QEMU gets to abort.
const SOON: Duration = Duration::from_secs(3);

/// What a driver can do wrong with the first ring, what the guard finds, and whether QEMU aborts when the back-end is bare.
fn mistakes() -> Vec<(&'static str, Layout, Fault, bool)> {
    let good = GOOD[0];
    let outside = 0x1000_0000;
    vec![
        ("size 48", Layout { size: 48, ..good }, Fault::NotPowerOfTwo, false),
        ("descriptors outside memory", Layout { descriptors: outside, ..good }, Fault::OutsideMemory, true),
        ("available ring outside memory", Layout { available: outside, ..good }, Fault::OutsideMemory, true),
        ("used ring outside memory", Layout { used: outside, ..good }, Fault::OutsideMemory, true),
        ("descriptors misaligned", Layout { descriptors: good.descriptors + 8, ..good }, Fault::Misaligned, true),
        ("available ring misaligned", Layout { available: good.available + 1, ..good }, Fault::Misaligned, true),
        ("used ring misaligned", Layout { used: good.used + 2, ..good }, Fault::Misaligned, true),
        ("used ring in the descriptors", Layout { used: good.descriptors + 64, ..good }, Fault::Overlap, false),
        ("a ring in the other", Layout { size: 64, ..GOOD[1] }, Fault::Overlap, false),
    ]
}

#[test]
fn a_driver_starts_plays_and_resets() {
    let guarded = Guarded::echo();
    let mut qemu = Qemu::start(guarded.folder.path(), &guarded.socket());
    assert_eq!((qemu.config(7), qemu.config(63)), (7, 1));
    for _ in 0..3 {
        qemu.set_up(GOOD);
        for _ in 0..20 {
            assert!(qemu.echoes(0, 1, PATIENCE) && qemu.echoes(1, 1, PATIENCE));
        }
    }
    assert_eq!(guarded.take_findings(), []);
}

#[test]
fn qemu_outlives_every_ring_that_a_driver_can_set_up() {
    for (name, ring, fault, aborts) in mistakes() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bare");
        serve_echo(UnixListener::bind(&socket).unwrap());
        let mut qemu = Qemu::start(folder.path(), &socket);
        qemu.set_up([ring, GOOD[1]]);
        qemu.poke();
        let ended = qemu.ended(if aborts { PATIENCE } else { Duration::from_millis(200) });
        assert_eq!(ended.and_then(|status| status.signal()), aborts.then_some(SIGABRT), "{name}, bare");

        let guarded = Guarded::echo();
        let mut qemu = Qemu::start(guarded.folder.path(), &guarded.socket());
        qemu.set_up([ring, GOOD[1]]);
        let findings = guarded.take_findings();
        assert!(findings.iter().any(|found| found.fault == fault), "{name}: {findings:?}");
        assert_eq!(qemu.config(7), 7);
        qemu.set_up(GOOD);
        assert!(qemu.echoes(0, 1, PATIENCE) && qemu.echoes(1, 1, PATIENCE), "{name}");
        assert!(qemu.ended(Duration::ZERO).is_none(), "{name}");
    }
}

#[test]
fn qemu_outlives_a_write_of_the_configuration_that_ends_the_back_end() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bare");
    serve_echo(UnixListener::bind(&socket).unwrap());
    let mut qemu = Qemu::start(folder.path(), &socket);
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| qemu.set_config(0, device::CONFIG_FAIL)));
    qemu.poke();
    assert_eq!(qemu.ended(SOON).and_then(|status| status.signal()), Some(SIGABRT));

    let guarded = Guarded::echo();
    let mut qemu = Qemu::start(guarded.folder.path(), &guarded.socket());
    assert_eq!(qemu.config(7), 7);
    qemu.set_up(GOOD);
    for _ in 0..3 {
        qemu.set_config(0, device::CONFIG_FAIL);
        assert_eq!(qemu.config(7), 7);
    }
    guarded.wait_for_change("Reached", 2);
    qemu.set_up(GOOD);
    assert!(qemu.echoes(0, 1, PATIENCE));
}

#[test]
fn qemu_outlives_a_killed_back_end_before_and_while_the_device_runs() {
    for running in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bare");
        let process = Process::start(&socket, 1);
        let mut qemu = Qemu::start(folder.path(), &socket);
        if running {
            qemu.set_up(GOOD);
        }
        process.kill();
        qemu.poke();
        assert_eq!(qemu.ended(PATIENCE).and_then(|status| status.signal()), Some(SIGABRT), "bare, running: {running}");

        let guarded = Guarded::start(|builder| builder.loss_mark(LossMark { offset: 5, value: 0xdd }));
        let mut process = Process::start(&guarded.backend(), 1);
        let mut qemu = Qemu::start(guarded.folder.path(), &guarded.socket());
        for life in 2..12 {
            if running {
                qemu.set_up(GOOD);
                assert!(qemu.echoes(0, 1, PATIENCE));
            }
            process.kill();
            guarded.wait_for_change("Lost", life - 1);
            assert_eq!(qemu.config(5), 0xdd);
            // A driver may reset while there is no back-end.
            qemu.set_up(GOOD);
            assert!(!qemu.echoes(0, 1, Duration::from_millis(50)));
            process = Process::start(&guarded.backend(), life as u8);
            guarded.wait_for_change("Reached", life);
            assert_eq!(qemu.config(63), life as u8);
            qemu.set_up(GOOD);
            let echo = qemu.echoes(0, 1, SOON) && qemu.echoes(1, 1, SOON);
            assert!(echo, "life {life}: {:?} {:?}", guarded.take_findings(), guarded.changes.lock().unwrap());
        }
        assert!(qemu.ended(Duration::ZERO).is_none());
    }
}
