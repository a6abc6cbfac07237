//! Vhost-user messages that no front-end should send: answered or ignored, and the next one is answered.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use card_control::Clock;
use card_spec::control::Status;
use card_spec::queue::Queue;
use dmus_card::fake::{Board, Driver, Machine};
use dmus_card::fake::{HEADER_BYTES, encode};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

const VERSION_1: u32 = 1;
const REPLY: u32 = 4;
const NEED_REPLY: u32 = 8;

const GET_FEATURES: u32 = 1;
const SET_OWNER: u32 = 3;
const SET_VRING_NUM: u32 = 8;
const GET_VRING_BASE: u32 = 11;
const SET_VRING_KICK: u32 = 12;
const GET_CONFIG: u32 = 24;

/// Sends a message as it stands.
fn send(machine: &Machine, code: u32, flags: u32, body: &[u8]) {
    machine.raw().write_all(&encode(code, flags, body)).unwrap();
}

/// Reads one answer: its code and its body.
fn receive(mut socket: &UnixStream) -> (u32, Vec<u8>) {
    let mut header = [0; HEADER_BYTES];
    socket.read_exact(&mut header).unwrap();
    let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
    assert_eq!(word(4), VERSION_1 | REPLY);
    let mut body = vec![0; word(8) as usize];
    socket.read_exact(&mut body).unwrap();
    (word(0), body)
}

/// Checks that the next well-formed request is answered, whatever other answers come before.
fn assert_answers(machine: &Machine) {
    // An acknowledgement has eight bytes as well, so the answer is known by its code.
    send(machine, GET_FEATURES, VERSION_1, &[]);
    while receive(machine.raw()).0 != GET_FEATURES {}
}

fn assert_serves(mut machine: Machine) {
    use vhost::vhost_user::VhostUserFrontend;
    assert_answers(&machine);
    // The random messages may have negotiated other features.
    let protocol = machine.frontend().get_protocol_features().unwrap();
    machine.frontend().set_protocol_features(protocol).unwrap();
    assert_eq!(&machine.identity().magic, b"DMUS");
    machine.start();
    let mut driver = Driver::on(machine);
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    assert_eq!(driver.record(64).header.frames.get(), 64);
    driver.machine.disconnect();
}

#[test]
fn unknown_requests_are_acknowledged_as_failed() {
    let machine = Machine::with_card(Clock::Lockstep);
    for code in [0, 45, 99, u32::MAX] {
        send(&machine, code, VERSION_1 | NEED_REPLY, &[1, 2, 3]);
        let (answered, body) = receive(machine.raw());
        assert_eq!((answered, body), (code, 1_u64.to_ne_bytes().to_vec()));
    }
    assert_serves(machine);
}

#[test]
fn survives_every_request_without_a_body() {
    let machine = Machine::with_card(Clock::Lockstep);
    for code in (0..64).filter(|code| *code != GET_FEATURES) {
        send(&machine, code, VERSION_1 | NEED_REPLY, &[]);
    }
    assert_serves(machine);
}

#[test]
fn survives_every_request_with_a_random_body() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for length in [1, 7, 8, 12, 16, 40, 48, 200, 4000] {
        let machine = Machine::with_card(Clock::Lockstep);
        for code in (0..64).filter(|code| *code != GET_FEATURES) {
            for _ in 0..4 {
                let body: Vec<u8> = (0..length)
                    .map(|_| {
                        let random = next();
                        if random % 2 == 0 { (random >> 8) as u8 } else { (random >> 8) as u8 % 5 }
                    })
                    .collect();
                send(&machine, code, VERSION_1, &body);
            }
            assert_answers(&machine);
        }
        assert_serves(machine);
    }
}

#[test]
fn reads_the_next_message_after_random_flags_and_an_oversized_body() {
    let machine = Machine::with_card(Clock::Lockstep);
    for flags in [0, 2, 3, REPLY, 0xffff_fff0, !NEED_REPLY] {
        send(&machine, SET_OWNER, flags, &[9; 20]);
    }
    send(&machine, SET_VRING_NUM, VERSION_1, &vec![7; 1 << 20]);
    assert_serves(machine);
}

#[test]
fn a_message_in_small_pieces_is_one_message() {
    let machine = Machine::with_card(Clock::Lockstep);
    for byte in encode(GET_FEATURES, VERSION_1, &[]) {
        machine.raw().write_all(&[byte]).unwrap();
    }
    assert_eq!(receive(machine.raw()).0, GET_FEATURES);
    assert_serves(machine);
}

#[test]
fn a_ring_that_does_not_exist_is_stopped_with_an_answer() {
    let machine = Machine::with_card(Clock::Lockstep);
    let body: Vec<u8> = [77_u32, 5].into_iter().flat_map(u32::to_ne_bytes).collect();
    send(&machine, GET_VRING_BASE, VERSION_1, &body);
    assert_eq!(receive(machine.raw()), (GET_VRING_BASE, [77_u32, 0].into_iter().flat_map(u32::to_ne_bytes).collect()));
    assert_serves(machine);
}

#[test]
fn a_configuration_read_beyond_the_block_is_answered_empty() {
    let machine = Machine::with_card(Clock::Lockstep);
    for (offset, size) in [(0_u32, 257_u32), (u32::MAX, 4), (4, u32::MAX), (300, 1)] {
        let body: Vec<u8> = [offset, size, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        send(&machine, GET_CONFIG, VERSION_1, &body);
        let (code, body) = receive(machine.raw());
        assert_eq!((code, body.len()), (GET_CONFIG, 12));
    }
    assert_serves(machine);
}

#[test]
fn descriptors_that_are_no_event_counters_are_survived() {
    let machine = Machine::with_card(Clock::Lockstep);
    let file = std::fs::File::open("/dev/null").unwrap();
    let directory = std::fs::File::open("/").unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    for fd in [file.as_fd(), directory.as_fd(), reader.as_fd()] {
        for code in [SET_VRING_KICK, SET_VRING_KICK + 1, SET_VRING_KICK + 2] {
            let bytes = encode(code, VERSION_1, &u64::from(Queue::EVENT.0).to_ne_bytes());
            // More than one, too: the others are closed.
            let three = [fd, fd, fd];
            let mut space = [const { std::mem::MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(3))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&three)));
            let parts = [std::io::IoSlice::new(&bytes)];
            sendmsg(machine.raw(), &parts, &mut ancillary, SendFlags::empty()).unwrap();
        }
    }
    assert_serves(machine);
}

#[test]
fn reports_memory_that_cannot_be_mapped_and_serves_on() {
    use std::os::fd::AsRawFd;
    use vhost::VhostUserMemoryRegionInfo;
    use vhost::vhost_user::VhostUserFrontend;
    let mut machine = Machine::with_card(Clock::Lockstep);
    let file = std::fs::File::open("/dev/null").unwrap();
    for (guest_phys_addr, memory_size, mmap_offset) in
        [(0, 4096, 0), (u64::MAX - 4095, 4096, 0), (0, u64::MAX, 0), (0, 4096, 4095), (0, 4096, u64::MAX)]
    {
        let region = VhostUserMemoryRegionInfo {
            guest_phys_addr,
            memory_size,
            userspace_addr: 0x1000,
            mmap_offset,
            mmap_handle: file.as_raw_fd(),
        };
        machine.frontend().add_mem_region(&region).unwrap();
    }
    // The same memory twice.
    machine.share_memory();
    machine.share_memory();
    assert_serves(machine);
}

#[test]
fn the_whole_memory_table_can_be_set_at_once_and_regions_removed() {
    use std::os::fd::AsRawFd;
    use vhost::vhost_user::VhostUserFrontend;
    use vhost::{VhostBackend, VhostUserMemoryRegionInfo};
    let mut machine = Machine::with_card(Clock::Lockstep);
    let region = VhostUserMemoryRegionInfo {
        guest_phys_addr: machine.ram.start(),
        memory_size: machine.ram.length(),
        userspace_addr: 0x7f55_0000_0000,
        mmap_offset: 0,
        mmap_handle: machine.ram.file().as_raw_fd(),
    };
    machine.frontend().set_mem_table(&[region]).unwrap();
    machine.claim_memory_is_shared();
    machine.start();
    let mut driver = Driver::on(machine);
    assert_eq!(driver.open().status, Status::OK);
    // Memory is removed under running rings: the card stops using them, and diagnoses it.
    driver.machine.frontend().remove_mem_region(&region).unwrap();
    driver.machine.kick(Queue::CONTROL);
    driver.machine.wait_until("a diagnosis", |machine| machine.identity().first_error.code.get() != 0);
    driver.machine.stop();
    driver.machine.share_memory();
    driver.machine.reset();
    assert_eq!(driver.open().status, Status::OK);
    driver.machine.disconnect();
}
