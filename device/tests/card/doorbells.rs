//! Descriptors that a front-end must not pass, and a host that has no more of them: the card neither spins nor hangs.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::process::{
    Control, NEED_REPLY, Running, VERSION_1, connect, place, program, receive, send, wait_until,
};
use card_spec::control::Status;
use card_spec::identity::MAGIC;
use card_spec::queue::Queue;
use dmus_card::fake::{Driver, Machine, USER_ADDRESS};
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::{ioctl_fionbio, write};
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use serde_json::json;
use tempfile::TempDir;

const GET_FEATURES: u32 = 1;
const SET_VRING_KICK: u32 = 12;
const SET_VRING_CALL: u32 = 13;
const SET_VRING_ERR: u32 = 14;
const ADD_MEM_REG: u32 = 37;

struct Card {
    _folder: TempDir,
    running: Running,
    socket: PathBuf,
    control: PathBuf,
    log: PathBuf,
}

impl Card {
    fn start(more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let (socket, socket_text) = place(&folder, "card.sock");
        let (control, control_text) = place(&folder, "control.sock");
        let log = place(&folder, "log").0;
        let mut command = program();
        command.args(["--socket-path", &socket_text, "--control", &control_text, "--clock", "lockstep"]);
        let running = Running::start(command.args(more).stderr(File::create(&log).unwrap()));
        let card = Self { _folder: folder, running, socket, control, log };
        card.assert_answers();
        card
    }

    fn assert_answers(&self) {
        assert_eq!(Control::connect(&self.control).command(&json!({"cmd": "status"}))["ok"], json!(true));
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Checks that the card uses no processor time while there is nothing to do.
    fn assert_rests(&self, why: &str) {
        let (before, time) = (self.running.processor_time(), Duration::from_millis(600));
        std::thread::sleep(time);
        let used = self.running.processor_time().saturating_sub(before);
        println!("{why}: {used:?} of {time:?}");
        assert!(used < time / 4, "{why}: {used:?} of {time:?}");
    }

    fn end(self) {
        assert_eq!(self.running.end_with(Signal::TERM).code, Some(0));
    }
}

fn assert_serves(driver: &mut Driver) {
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    assert_eq!(driver.record(64).header.frames.get(), 64);
}

/// Returns a machine whose driver wants an interrupt for every chain.
fn with_interrupts(card: &Card) -> Driver {
    let mut machine = Machine::connect(&card.socket);
    machine.features &= !card_spec::feature::EVENT_IDX;
    Driver::new(machine)
}

/// Sends a descriptor for a ring, and waits until the card has taken it.
fn pass(machine: &Machine, code: u32, queue: Queue, descriptor: BorrowedFd<'_>) {
    let socket = machine.raw();
    send(socket, code, VERSION_1, &u64::from(queue.0).to_ne_bytes(), &[descriptor]);
    send(socket, GET_FEATURES, VERSION_1, &[], &[]);
    while receive(socket).0 != GET_FEATURES {}
}

/// Descriptors that are ready all the time, or never, and are no event counters.
fn other_descriptors() -> Vec<(&'static str, OwnedFd)> {
    let (ended, _) = std::io::pipe().unwrap();
    let (_, without_reader) = std::io::pipe().unwrap();
    let (left, _) = UnixStream::pair().unwrap();
    let (full, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, &[1; 4096]).unwrap();
    let watcher = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let ready = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
    epoll::add(&watcher, &ready, epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
    // The watch lasts as long as the watched descriptor.
    std::mem::forget(ready);
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).unwrap();
    let often = rustix::time::Timespec { tv_sec: 0, tv_nsec: 1 };
    let every = Itimerspec { it_interval: often, it_value: often };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every).unwrap();
    vec![
        ("a pipe whose writer has gone", ended.into()),
        ("a pipe whose reader has gone", without_reader.into()),
        ("a pipe with bytes in it", full.into()),
        ("a socket whose peer has gone", left.into()),
        ("/dev/zero", File::open("/dev/zero").unwrap().into()),
        ("an epoll set that is ready", watcher),
        ("a timer that always expires", timer),
        ("a semaphore", eventfd(u32::MAX, EventfdFlags::SEMAPHORE).unwrap()),
        ("a file", File::open("/proc/self/exe").unwrap().into()),
        ("a folder", File::open("/").unwrap().into()),
    ]
}

#[test]
fn a_descriptor_that_is_no_event_counter_neither_wakes_nor_blocks_the_card() {
    let card = Card::start(&["--persistent"]);
    for (what, descriptor) in other_descriptors() {
        let machine = Machine::connect(&card.socket);
        for queue in Queue::ALL {
            for code in [SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR] {
                pass(&machine, code, queue, descriptor.as_fd());
            }
        }
        card.assert_rests(what);
        card.assert_answers();
        // The right ones take their place.
        let mut driver = Driver::new(machine);
        assert_serves(&mut driver);
        driver.machine.disconnect();
    }
    assert!(card.log().contains("kick descriptor is not usable"), "{}", card.log());
    card.end();
}

#[test]
fn a_call_that_is_a_full_blocking_pipe_does_not_block_the_card() {
    let card = Card::start(&[]);
    let mut driver = with_interrupts(&card);
    let (_reader, writer) = std::io::pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    while write(&writer, &[0; 4096]).is_ok() {}
    ioctl_fionbio(&writer, false).unwrap();
    for queue in Queue::ALL {
        pass(&driver.machine, SET_VRING_CALL, queue, writer.as_fd());
    }
    ioctl_fionbio(&writer, false).unwrap();
    assert_serves(&mut driver);
    card.assert_answers();
    driver.machine.stop();
    driver.machine.disconnect();
    assert_eq!(card.running.wait().0, Some(0));
}

#[test]
fn a_full_call_whose_flags_are_changed_later_does_not_block_the_card() {
    let card = Card::start(&[]);
    let mut driver = with_interrupts(&card);
    let call = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    for queue in Queue::ALL {
        pass(&driver.machine, SET_VRING_CALL, queue, call.as_fd());
    }
    write(&call, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    ioctl_fionbio(&call, false).unwrap();
    assert_serves(&mut driver);
    for _ in 0..20 {
        ioctl_fionbio(&call, false).unwrap();
        assert_eq!(driver.record(64).header.frames.get(), 64);
    }
    card.assert_answers();
    driver.machine.reset();
    assert_serves(&mut driver);
    driver.machine.disconnect();
    assert_eq!(card.running.wait().0, Some(0));
}

#[test]
fn a_front_end_that_keeps_clearing_the_flags_of_full_calls_does_not_block_the_card() {
    let card = Card::start(&[]);
    let mut driver = with_interrupts(&card);
    assert_serves(&mut driver);
    let begun = Instant::now();
    let mut buffers = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        let counter = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).unwrap());
        write(&*counter, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        for queue in Queue::ALL {
            pass(&driver.machine, SET_VRING_CALL, queue, counter.as_fd());
        }
        let over = Arc::new(AtomicBool::new(false));
        let hostile: Vec<_> = (0..2)
            .map(|_| {
                let (counter, over) = (Arc::clone(&counter), Arc::clone(&over));
                std::thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        ioctl_fionbio(&*counter, false).unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..300 {
            assert_eq!(driver.record(16).header.frames.get(), 16);
            buffers += 1;
        }
        card.assert_answers();
        over.store(true, Ordering::Relaxed);
        for thread in hostile {
            thread.join().unwrap();
        }
    }
    println!("{buffers} buffers\n{}", card.log());
    driver.machine.stop();
    driver.machine.disconnect();
    assert_eq!(card.running.wait().0, Some(0));
}

#[test]
fn counts_kicks_whatever_flags_their_counter_has() {
    let card = Card::start(&[]);
    let mut driver = Driver::new(Machine::connect(&card.socket));
    let kick = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    pass(&driver.machine, SET_VRING_KICK, Queue::EVENT, kick.as_fd());
    let kicks = || {
        let status = Control::connect(&card.control).command(&json!({"cmd": "status"}));
        status["counters"]["kicks"].as_u64().unwrap()
    };
    let mut before = kicks();
    wait_until("the kicks of the driver's start are counted", || {
        std::thread::sleep(Duration::from_millis(50));
        std::mem::replace(&mut before, kicks()) == before
    });
    for _ in 0..10 {
        ioctl_fionbio(&kick, false).unwrap();
        write(&kick, &1_u64.to_ne_bytes()).unwrap();
        write(&kick, &2_u64.to_ne_bytes()).unwrap();
    }
    wait_until("the kicks are counted", || kicks() == before + 30);
    card.assert_rests("after the kicks");
    assert_serves(&mut driver);
    driver.machine.disconnect();
    assert_eq!(card.running.wait().0, Some(0));
}

/// Returns the threads of the framework that serve kicks.
fn workers(card: &Card) -> Vec<String> {
    let tasks = format!("/proc/{}/task", card.running.0.id());
    let numbers = fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().file_name().into_string().unwrap());
    let name = |number: &String| fs::read_to_string(format!("{tasks}/{number}/comm")).unwrap_or_default();
    numbers.filter(|number| name(number).trim() == "vring_worker").collect()
}

/// The worker of the framework's own rings ends when it reads a kick that was taken back since it was announced.
#[test]
fn rings_that_are_stopped_while_kicks_arrive_leave_the_worker_alone() {
    let card = Card::start(&[]);
    let mut driver = Driver::new(Machine::connect(&card.socket));
    assert_serves(&mut driver);
    let before = workers(&card);
    assert_eq!(before.len(), 1, "a connection has one worker");
    let kick = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = write(&kick, &1_u64.to_ne_bytes());
                std::thread::yield_now();
            }
        });
        for _ in 0..200 {
            pass(&driver.machine, SET_VRING_KICK, Queue::EVENT, kick.as_fd());
            let bases = driver.machine.stop();
            driver.machine.resume(bases);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_serves(&mut driver);
    assert_eq!(workers(&card), before, "{}", card.log());
    driver.machine.disconnect();
    assert_eq!(card.running.wait().0, Some(0));
}

fn region(address: u64, length: u64) -> Vec<u8> {
    [0, address, length, 0x5000_0000_0000 + address, 0].into_iter().flat_map(u64::to_ne_bytes).collect()
}

#[test]
fn refuses_memory_that_cannot_be_mapped_safely_and_serves_on() {
    let card = Card::start(&[]);
    let machine = Machine::connect(&card.socket);
    for (_, descriptor) in other_descriptors() {
        send(machine.raw(), ADD_MEM_REG, VERSION_1, &region(0x4000_0000, 4096), &[descriptor.as_fd()]);
    }
    let read_only = File::open(&card.log).unwrap();
    send(machine.raw(), ADD_MEM_REG, VERSION_1, &region(0x4000_0000, 4096), &[read_only.as_fd()]);
    let mut driver = Driver::new(machine);
    assert_serves(&mut driver);
    let log = card.log();
    // A file is mapped or not, as the kernel decides; the rest is of a kind that cannot be.
    assert!(log.matches("memory region is not usable").count() >= other_descriptors().len(), "{log}");
    driver.machine.disconnect();
    assert_eq!(card.running.wait().0, Some(0));
}

#[test]
fn replaces_a_region_that_is_announced_again_without_a_log_line() {
    let card = Card::start(&[]);
    let mut driver = Driver::new(Machine::connect(&card.socket));
    assert_serves(&mut driver);
    // A device that is plugged in again is given the same memory again.
    for _ in 0..3 {
        driver.machine.stop();
        driver.machine.share_memory();
        driver.machine.reset();
        assert_serves(&mut driver);
    }
    // The card uses the other file at the same address from then on.
    driver.machine.stop();
    let (start, length) = (driver.machine.ram.start(), driver.machine.ram.length());
    let other = File::from(rustix::fs::memfd_create("other", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    other.set_len(length).unwrap();
    let same = [0, start, length, USER_ADDRESS, 0].into_iter().flat_map(u64::to_ne_bytes).collect::<Vec<u8>>();
    send(driver.machine.raw(), ADD_MEM_REG, VERSION_1 | NEED_REPLY, &same, &[other.as_fd()]);
    assert_eq!(receive(driver.machine.raw()).1, 0_u64.to_ne_bytes());
    driver.machine.disconnect();
    assert_eq!(card.log(), "");
    assert_eq!(card.running.wait().0, Some(0));
}

#[test]
fn a_front_end_cannot_fill_a_disk_with_log_lines() {
    let card = Card::start(&["--persistent"]);
    let impostor = File::open("/dev/zero").unwrap();
    for _ in 0..3 {
        let machine = Machine::connect(&card.socket);
        let socket = machine.raw();
        for round in 0..2000_u32 {
            let ring = u64::from(round % 5).to_ne_bytes();
            send(socket, 99, VERSION_1, &[], &[]);
            send(socket, 39, VERSION_1, &[1; 8], &[]);
            send(socket, SET_VRING_KICK, VERSION_1, &[], &[]);
            send(socket, SET_VRING_KICK, VERSION_1, &0x101_u64.to_ne_bytes(), &[]);
            for code in [SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR] {
                send(socket, code, VERSION_1, &ring, &[impostor.as_fd()]);
            }
            send(socket, ADD_MEM_REG, VERSION_1, &region(0, 4096), &[impostor.as_fd()]);
            send(socket, ADD_MEM_REG + 1, VERSION_1, &region(77, 4096), &[]);
        }
        send(socket, GET_FEATURES, VERSION_1, &[], &[]);
        while receive(socket).0 != GET_FEATURES {}
        machine.disconnect();
    }
    let log = card.log();
    println!("{} lines, {} bytes", log.lines().count(), log.len());
    assert!(log.len() < 64 * 1024, "{} bytes:\n{}", log.len(), &log[..4096]);
    assert!(log.contains("were not logged"));
    card.end();
}

#[test]
fn keeps_connections_waiting_on_a_host_without_descriptors() {
    for signal_meanwhile in [false, true] {
        let card = Card::start(&["--persistent"]);
        let id = card.running.0.id();
        // Every new descriptor gets the lowest number that is free.
        let free = || (0..).find(|number| !fs::exists(format!("/proc/{id}/fd/{number}")).unwrap()).unwrap();
        let limit = |current: u64| {
            let limit = Rlimit { current: Some(current), maximum: Some(20_000) };
            prlimit(Some(card.running.pid()), Resource::Nofile, limit).unwrap();
        };
        // The client of the last command has disconnected, but the card may not have noticed yet.
        wait_until("the number of descriptors is stable", || {
            let before = free();
            std::thread::sleep(Duration::from_millis(50));
            free() == before
        });
        limit(free());
        let mut machine = connect(&card.socket);
        let mut client = Control::connect(&card.control);
        client.write("{\"cmd\":\"status\"}\n");
        card.assert_rests("no descriptors");
        let log = card.log();
        assert_eq!(log.matches("cannot be accepted").count(), 2, "once for each socket: {log}");
        if signal_meanwhile {
            card.end();
            continue;
        }
        limit(20_000);
        assert_eq!(client.answer().expect("an answer")["ok"], json!(true));
        send(&machine, GET_FEATURES, VERSION_1, &[], &[]);
        assert_eq!(receive(&machine).0, GET_FEATURES);
        // Again, with a connection between.
        limit(free());
        drop(client);
        let mut another = Control::connect(&card.control);
        std::thread::sleep(Duration::from_millis(300));
        limit(20_000);
        assert_eq!(another.command(&json!({"cmd": "status"}))["ok"], json!(true));
        // Descriptors that do not arrive are logged.
        machine = {
            drop(machine);
            connect(&card.socket)
        };
        send(&machine, GET_FEATURES, VERSION_1, &[], &[]);
        receive(&machine);
        limit(free());
        let counter = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        send(&machine, SET_VRING_KICK, VERSION_1, &0_u64.to_ne_bytes(), &[counter.as_fd()]);
        send(&machine, GET_FEATURES, VERSION_1, &[], &[]);
        receive(&machine);
        assert!(card.log().contains("ulimit -n"), "{}", card.log());
        limit(20_000);
        card.end();
    }
}

/// A thread that serves a connection is confined when it starts, with however few descriptors the host has left by then.
#[test]
fn serves_clients_with_any_number_of_descriptors_left() {
    for transport in ["vhost-user", "vfio-user"] {
        let card = Card::start(&["--persistent", "--transport", transport]);
        let id = card.running.0.id();
        let limit = |current: u64| {
            let limit = Rlimit { current: Some(current), maximum: Some(20_000) };
            prlimit(Some(card.running.pid()), Resource::Nofile, limit).unwrap();
        };
        for left in 1..=12 {
            let free = || {
                let is_free = |number: &u64| !fs::exists(format!("/proc/{id}/fd/{number}")).unwrap();
                (0..).filter(is_free).nth(left - 1).unwrap() + 1
            };
            wait_until("the number of descriptors is stable", || {
                let before = free();
                std::thread::sleep(Duration::from_millis(50));
                free() == before
            });
            limit(free());
            // One descriptor is enough for a client.
            let mut client = Control::connect(&card.control);
            assert_eq!(client.command(&json!({"cmd": "status"}))["ok"], json!(true), "{left} left: {}", card.log());
            // A front-end needs more. It is served, waits, or is refused; the card goes on.
            let front_end = connect(&card.socket);
            std::thread::sleep(Duration::from_millis(100));
            limit(20_000);
            drop((client, front_end));
            card.assert_answers();
            if transport == "vhost-user" {
                let mut machine = Machine::connect(&card.socket);
                assert_eq!(machine.identity().magic, MAGIC, "{left} left");
                machine.disconnect();
            }
        }
        card.end();
    }
}

/// A descriptor that the card kept could be the front-end's own end of the connection: then the connection would never
/// end.
#[test]
fn closes_the_connection_of_an_ended_front_end_during_every_request() {
    let card = Card::start(&["--persistent"]);
    for code in 1..=45 {
        let socket = connect(&card.socket);
        let own_end = socket.try_clone().unwrap();
        for queue in 0..6_u64 {
            send(&socket, code, 1, &queue.to_ne_bytes(), &[own_end.as_fd()]);
            send(&socket, code, 1, &[&[0; 8][..], &region(0, 4096)].concat(), &[own_end.as_fd()]);
        }
        // The descriptors of a front-end are closed when its process ends: no shutdown is sent.
        drop((socket, own_end));
        // A card serves one front-end after the other.
        let mut machine = Machine::connect(&card.socket);
        assert_eq!(machine.identity().magic, MAGIC, "request {code}");
        machine.disconnect();
    }
    card.end();
}
